"""The user's own Python: kfp.local runs the compiled pipeline, each step in a process of its own."""

import contextlib
import fcntl
import io
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from petalflow import runs, source, storage
from petalflow.errors import UsageError
from petalflow.step import RUNNER_PID, last_error
from petalflow.verdict import REPORT_FILE, VERDICT_FILE
from pipeline.compile import pipeline_file
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, SKIPPED, WAITING, RunFile

_LOG = "run.log"
_WORK = "steps"
_CACHE = ".cache"
# How kfp.local says what it does (kfp 2.17), once its colours are taken away.
_COLOUR = re.compile(r"\x1b\[\d+m")
_STARTED = re.compile(r"Executing task '(?P<step>[a-z-]+)'")
_FINISHED = re.compile(r"Task '(?P<step>[a-z-]+)' finished with status (?P<status>[A-Z]+)")
_CACHE_HIT = re.compile(r"Task (?P<step>[a-z-]+) cache hit")
_TAIL_LINES = 15
# The artifacts of cached steps that are folders with a marker.
_MARKED = ("dataset", "model", "exported")


def check(request: Request, out: Path) -> None:
    """Checks what can be known before work starts.

    Raises:
        UsageError: If the source is plainly wrong, a setting does not fit, or a folder cannot be written.
    """
    from components.train.check import check_settings

    source.check_source(request.source)
    places = {
        "--out": str(out),
        "--registry": request.registry,
        "--state": request.state_uri,
        "--record": request.record_uri,
    }
    for what, address in places.items():
        _check_writable(what, address)
        _check_apart(what, address, request.source)
    check_settings(request.configuration.train, try_weights=True)


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Holds a folder for one run at a time.

    Raises:
        UsageError: If another run holds it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be made: {error.strerror}; choose another") from None
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another run is going on in {out}; wait for it or choose another --out") from None
        yield


def run(request: Request, out: Path, run_file: RunFile, display: Display) -> None:
    """Runs the compiled pipeline to its end; how it ended is in `run_file` then.

    Args:
        request: What to run.
        out: Folder of the run.
        run_file: Its state.
        display: Where it is shown.
    """
    follower = _Follower(run_file, display, out / _LOG)
    with _environment(), contextlib.redirect_stdout(follower), display:
        _execute({**request.parameters(), "run_id": run_file.run_id}, out)
        follower.close()
    for step in run_file.steps:
        if step.state in (WAITING, RUNNING):
            step.state = SKIPPED
    _conclude(request, out, run_file, follower)


def _execute(parameters: dict[str, str], out: Path) -> None:
    from kfp import components, local

    # Said to root, since kfp does; its own handler comes and goes with each task.
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s", force=True)
    warnings.filterwarnings("ignore", message="You may be attemp", category=RuntimeWarning)
    _forget_incomplete(out / _CACHE)
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(out / _WORK),
        raise_on_error=False,
        enable_caching=True,
        cache_root=str(out / _CACHE),
    )
    components.load_component_from_file(str(pipeline_file()))(**parameters)
    logging.basicConfig(force=True)


def _conclude(request: Request, out: Path, run_file: RunFile, follower: "_Follower") -> None:
    """Says in the run's file how it ended, from the steps' states and the record."""
    # A notification that failed changes nothing of what it was to tell.
    failed = [step.name for step in run_file.steps if step.state == FAILED and step.name != "notify"]
    finished = not failed and run_file.step("snapshot").state == RAN
    run_file.outcome = runs.outcome(request.record_uri, run_file.run_id, succeeded=finished)
    verdict = runs.read(request.record_uri, run_file.run_id, runs.VERDICT)
    if verdict and run_file.step("evaluate").state == RAN:
        for name in (VERDICT_FILE, REPORT_FILE):
            storage.write_bytes(str(out / name), storage.read_bytes(storage.join(verdict["evaluation"], name)))
            run_file.results[name.partition(".")[0]] = str(out / name)
        run_file.results["failed_checks"] = [check for check in verdict["checks"] if check["passed"] is False]
    if run_file.outcome == runs.FAILED:
        run_file.results["error"] = follower.error(failed[0] if failed else "snapshot")
        run_file.results["log"] = str(out / _LOG)
    release = runs.read(request.record_uri, run_file.run_id, runs.RELEASE)
    if run_file.outcome == runs.ACCEPTED and release:
        run_file.results["release"] = release["uri"]
    run_file.write()


class _Follower(io.TextIOBase):
    """Stands in for stdout while kfp.local works: logs every line and notes what happens to the steps."""

    def __init__(self, run_file: RunFile, display: Display, log: Path) -> None:
        self._run, self._display = run_file, display
        self._log = log.open("a", encoding="utf-8")
        self._part = ""
        self._since: dict[str, float] = {}
        self._lines: dict[str, list[str]] = {}

    def write(self, text: str) -> int:
        """Takes what is printed, in whatever pieces."""
        *lines, self._part = (self._part + text).split("\n")
        for line in lines:
            self._take(_COLOUR.sub("", line))
        return len(text)

    def close(self) -> None:
        """Ends the log."""
        self._log.close()

    def error(self, step: str) -> str:
        """Returns why a step failed: its one line, or else its last lines."""
        lines = self._lines.get(step, [])
        said = last_error("\n".join(lines))
        return said or f"{step} failed; its last lines:\n" + "\n".join(lines[-_TAIL_LINES:])

    def _take(self, line: str) -> None:
        self._log.write(line + "\n")
        self._log.flush()
        if match := _STARTED.search(line):
            self._started(match["step"])
        elif match := _FINISHED.search(line):
            self._finished(match["step"], RAN if match["status"] == "SUCCESS" else FAILED)
        elif match := _CACHE_HIT.search(line):
            self._finished(match["step"], CACHED)
        else:
            self._said(line.strip())

    def _started(self, step: str) -> None:
        self._since[step] = time.monotonic()
        self._run.step(step).state = RUNNING
        self._run.write()
        self._display.started(step)

    def _finished(self, step: str, state: str) -> None:
        entry = self._run.step(step)
        entry.state = state
        if step in self._since:
            entry.seconds = round(time.monotonic() - self._since[step], 2)
        self._run.write()
        self._display.finished(step)

    def _said(self, line: str) -> None:
        running = next((step.name for step in self._run.steps if step.state == RUNNING), None)
        if not running or not line:
            return
        self._lines.setdefault(running, []).append(line)
        if line.startswith(f"{running}: "):  # a step's own words, not kfp's about it
            self._display.line(line)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Sets what the steps' processes inherit, for the block's time."""
    values = {
        RUNNER_PID: str(os.getpid()),
        # A folder named `components` where the user stands must not hide ours.
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _forget_incomplete(cache: Path) -> None:
    """Removes cached results that lost a file, so that kfp, which looks at names only, makes them again."""
    for entry in cache.glob("*.json"):
        try:
            outputs = storage.read_json(str(entry))
        except ValueError:
            entry.unlink()
            continue
        if not all(storage.is_complete(outputs[name]["uri"]) for name in _MARKED if name in outputs):
            entry.unlink()


def _check_writable(what: str, address: str) -> None:
    if not storage.is_local(address):
        storage.check_address(address)
        return
    folder = storage.local_path(address)
    while not os.path.lexists(folder):  # a link to nowhere is there, and in the way
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{what} {address} cannot be written ({folder} is no writable folder); choose another")


def _check_apart(what: str, address: str, source_address: str) -> None:
    if not (storage.is_local(address) and storage.is_local(source_address)):
        return
    inner, outer = (storage.local_path(place).resolve() for place in (address, source_address))
    if inner.is_relative_to(outer):
        raise UsageError(f"{what} {address} lies in the source {source_address}, and would be read as images; move it")
