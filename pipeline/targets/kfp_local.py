"""Running the compiled pipeline on this machine with kfp.local, whose output is turned into states of the steps."""

import contextlib
import io
import logging
import re
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.convert.previous import previous_dataset
from components.notify.settings import KeepSettings
from petalflow.run.execution import last_error
from pipeline.display import Display
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, RunFile
from pipeline.target import Failure
from pipeline.targets.outputs import forget_incomplete, forget_old, note_used

_LOG = "run.log"
WORK = "steps"
CACHE = ".cache"
# We do not use it, but without it kfp leaves a temporary folder behind in each run.
WORKSPACE = ".workspace"
# What kfp.local prints (kfp 2.17), without colours; tests/canaries/test_kfp.py notices if that changes.
COLOUR = re.compile(r"\x1b\[\d+m")
STARTED = re.compile(r"Executing task '(?P<step>[a-z-]+)'")
FINISHED = re.compile(r"Task '(?P<step>[a-z-]+)' finished with status (?P<status>[A-Z]+)")
CACHE_HIT = re.compile(r"Task (?P<step>[a-z-]+) cache hit \(key=(?P<key>[0-9a-f]+)\)")


def execute(runner: Any, pipeline: Path, out: Path, run: RunFile, display: Display) -> Failure | None:
    """Runs a compiled pipeline until it has ended.

    Args:
        runner: A runner of kfp.local.
        pipeline: The compiled pipeline.
        out: Folder of the run, with its log, the steps' outputs, and the cache.
        run: The run's file, kept up to date.
        display: Where the run is shown.

    Returns:
        The failure, or None.
    """
    follower = Follower(run, display, out / _LOG)
    try:
        with contextlib.redirect_stdout(follower), display:
            _run(runner, pipeline, run.arguments(), out)
    finally:
        follower.close()
    for key in follower.cache_hits:
        note_used(out / CACHE, key)
    _tidy(out, run, display)
    return follower.failure()


def _run(runner: Any, pipeline: Path, parameters: Mapping[str, str], out: Path) -> None:
    from kfp import components, local

    # Logs to root, as kfp does; its own handler comes and goes with each task.
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s", force=True)
    warnings.filterwarnings("ignore", message="You may be attemp", category=RuntimeWarning)
    forget_incomplete(out / CACHE)
    (out / WORKSPACE).mkdir(exist_ok=True)
    try:
        local.init(
            runner=runner,
            pipeline_root=str(out / WORK),
            workspace_root=str(out / WORKSPACE),
            raise_on_error=False,
            enable_caching=True,
            cache_root=str(out / CACHE),
        )
        components.load_component_from_file(str(pipeline))(**parameters)
    finally:
        logging.basicConfig(force=True)


def _tidy(out: Path, run: RunFile, display: Display) -> None:
    """Removes the outputs of old runs from the folder, as the settings of this run ask."""
    keep = KeepSettings.from_json(run.parameters["keep_config"]).outputs
    if keep is None:
        return
    last = previous_dataset(run.parameters["registry"], run.parameters["name"]) or ""
    try:
        forget_old(out / WORK, out / CACHE, keep, always_keep=last)
    except OSError as error:
        display.note(f"cannot remove old outputs in {out}: {error}")


class Follower(io.TextIOBase):
    """Replaces stdout while kfp.local works: logs every line and records the states of the steps.

    Attributes:
        cache_hits: Prefixes of the names of the cache entries that were used.
    """

    def __init__(self, run: RunFile, display: Display, log: Path) -> None:
        self._run, self._display = run, display
        self._path = log
        self._log = log.open("a" if run.resumed else "w", encoding="utf-8")
        self._part = ""
        self._since: dict[str, float] = {}
        self._lines: dict[str, list[str]] = {}
        self.cache_hits: list[str] = []

    def write(self, text: str) -> int:
        """Takes printed text, in pieces of any size."""
        *lines, self._part = (self._part + text).split("\n")
        for line in lines:
            self._take(COLOUR.sub("", line))
        return len(text)

    def close(self) -> None:
        """Closes the log."""
        self._log.close()

    def failure(self) -> Failure | None:
        """Returns the failure of the first step that failed; a failed notification does not make the run fail."""
        failed = [step.name for step in self._run.steps if step.state == FAILED and step.name != "notify"]
        return Failure(failed[0], tuple(self._lines.get(failed[0], ())), str(self._path)) if failed else None

    def _take(self, line: str) -> None:
        self._log.write(line + "\n")
        self._log.flush()
        if match := STARTED.search(line):
            self._started(match["step"])
        elif match := FINISHED.search(line):
            self._finished(match["step"], RAN if match["status"] == "SUCCESS" else FAILED)
        elif match := CACHE_HIT.search(line):
            self.cache_hits.append(match["key"])
            self._finished(match["step"], CACHED)
        else:
            self._take_step_line(line.strip())

    def _started(self, step: str) -> None:
        self._since[step] = time.monotonic()
        self._run.note(step, RUNNING, 0)
        self._display.started(step)

    def _finished(self, step: str, state: str) -> None:
        # A container that removes itself is sometimes gone before kfp asks how it ended, and is then reported as a
        # success; the step's own error line shows that it failed.
        if state == RAN and last_error("\n".join(self._lines.get(step, ()))):
            state = FAILED
        self._run.note(step, state, time.monotonic() - self._since[step] if step in self._since else 0)
        self._display.finished(step)

    def _take_step_line(self, line: str) -> None:
        running = next((step.name for step in self._run.steps if step.state == RUNNING), None)
        if not running or not line:
            return
        self._lines.setdefault(running, []).append(line)
        if line.startswith(f"{running}: "):  # printed by the step, not by kfp about it
            self._display.line(line)
