"""Running the pipeline from the command line: check, submit or resume, follow, and report the outcome."""

import contextlib
import fcntl
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from components.notify.message import summary
from petalflow import errors, storage
from petalflow.dataset import PAGE_FILE
from petalflow.errors import Interrupted, UsageError
from petalflow.run import record
from petalflow.run.steps import STEPS
from petalflow.verdict import REPORT_FILE, VERDICT_FILE, wilson_interval
from pipeline import withdrawn
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import BY_HAND, CACHED, RAN, RUNNING, SKIPPED, WAITING, RunFile
from pipeline.target import Failure, Target

SUBMITTED = "submitted"
# The exit code of a command for each outcome.
EXIT_CODES = {
    record.ACCEPTED: errors.ACCEPTED,
    record.NOTHING_NEW: errors.ACCEPTED,
    record.SKIPPED: errors.ACCEPTED,
    SUBMITTED: errors.ACCEPTED,
    record.REFUSED: errors.REFUSED,
    record.FAILED: errors.FAILED,
}
_RESUME = "run the same command again to resume it"
# What pathlib turns a URI into: gs:/bucket/folder.
_URI = re.compile(r"(^|/)(gs|gcs|s3|memory|https?):/")


class Busy(UsageError):
    """Another run is using the folder."""


def run(
    target: Target,
    request: Request,
    out: Path,
    *,
    detach: bool = False,
    trigger: str = BY_HAND,
    check: bool = True,
) -> str:
    """Runs the pipeline and prints the outcome.

    Args:
        target: Where to run.
        request: What to run.
        out: Folder of the run.
        detach: Return once the run is submitted; the same call without it follows that run.
        trigger: Who or what starts the run.
        check: Check first everything that can be checked; else the run itself finds problems, and notifies people.

    Returns:
        The outcome: "accepted", "refused", "failed", "nothing new" or "skipped"; "submitted" if detached.

    Raises:
        UsageError: If a problem is found before work starts; nothing is created then.
    """
    if detach and not target.runs_detached:
        raise UsageError(f"--detach is not available on {target.name}, where a run stops with its command; omit it")
    check_out(out)
    stopped = "stopped before the run started"
    try:
        with _terminated_as_interrupted():
            if check:
                target.check(request, out)
                if notice := withdrawn.warning(request):
                    print(f"petalflow: warning: {notice}", file=sys.stderr)
            console = Console(file=sys.stdout)  # the object, since sys.stdout is redirected while kfp.local runs
            with locked(out):
                run_file = RunFile.begin(out, request.parameters(target.code_version()), STEPS, target.name, trigger)
                console.print(f"{'resuming' if run_file.resumed else 'run'} {run_file.run_id}", highlight=False)
                if not run_file.job:
                    stopped = f"the run may have started; {_RESUME}"
                    target.submit(request, run_file)
                    run_file.write()
                if run_file.link:
                    console.print(run_file.link, highlight=False, soft_wrap=True)
                if detach:
                    return SUBMITTED
                continues = f"the run continues ({run_file.link or run_file.job})"
                stopped = f"{continues if target.runs_detached else 'the run has stopped'}; {_RESUME}"
                failure = target.follow(request, run_file, Display(run_file, console))
                conclude(target, request, run_file, failure)
    except KeyboardInterrupt:
        raise Interrupted(stopped) from None
    _print_outcome(request, run_file)
    return str(run_file.outcome)


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Treats SIGTERM, which `timeout`, systemd and CI send, like Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_out(out: Path) -> None:
    """Raises UsageError if the folder of a run is not on this machine."""
    if _URI.search(str(out)):
        raise UsageError(f"--out {out} must be a folder on this machine; only the other addresses can be URIs")


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Locks a folder, for one run at a time.

    Raises:
        Busy: If another run has locked it.
        UsageError: If it cannot be created.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be created: {error.strerror}; choose another folder") from None
    # Not filelock: flock alone does all of it, and the kernel releases it when a process is killed.
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another run is using {out}; wait for it or choose another --out") from None
        yield


def conclude(target: Target, request: Request, run_file: RunFile, failure: Failure | None) -> None:
    """Writes the outcome of a run to its file, from the steps' states and the record."""
    out = run_file.path.parent
    if target.runs_detached and all(step.state == WAITING for step in run_file.steps):
        _read_steps(request, run_file)
    for step in run_file.steps:
        if step.state in (WAITING, RUNNING):
            step.state = SKIPPED
    finished = failure is None and run_file.step("snapshot").state == RAN
    # Only a cluster has folders that this machine cannot see; elsewhere, a run without a record has not succeeded.
    unseen = target.runs_detached and storage.is_local(request.record_uri) and not _is_record_visible(request, run_file)
    if finished and unseen:
        run_file.outcome = _outcome_by_steps(run_file)
    else:
        run_file.outcome = record.outcome(request.record_uri, run_file.run_id, succeeded=finished)
    verdict = record.read(request.record_uri, run_file.run_id, record.VERDICT)
    # If a run was interrupted after its release, an earlier attempt did the evaluation.
    if verdict and (run_file.step("evaluate").state == RAN or run_file.outcome == record.ACCEPTED):
        storage.write_json(str(out / VERDICT_FILE), verdict)
        storage.write_bytes(str(out / REPORT_FILE), record.read_report(request.record_uri, run_file.run_id))
        run_file.results |= {"verdict": str(out / VERDICT_FILE), "report": str(out / REPORT_FILE)}
        run_file.results["accuracy"] = _accuracy(verdict)
        if page := record.read_dataset_page(request.record_uri, run_file.run_id):
            storage.write_bytes(str(out / PAGE_FILE), page)
            run_file.results["dataset"] = str(out / PAGE_FILE)
        run_file.results["failed_checks"] = [check for check in verdict["checks"] if check["passed"] is False]
    if run_file.outcome == record.FAILED:
        failure = failure or Failure(
            "", ("the run ended without recording a verdict or an error",), run_file.link or str(out)
        )
        run_file.results |= {"error": str(failure), "log": failure.log}
    release = record.read(request.record_uri, run_file.run_id, record.RELEASE)
    if run_file.outcome == record.ACCEPTED and release:
        run_file.results["release"] = release["uri"]
    run_file.write()


def _accuracy(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the accuracy of a candidate on the test images, and its two-sided 95 % interval."""
    value, images = verdict["candidate"]["accuracy"], verdict["test_images"]
    lower, upper = wilson_interval(round(value * images), images)
    return {"value": value, "lower": lower, "upper": upper, "test_images": images}


def _read_steps(request: Request, run_file: RunFile) -> None:
    """Takes the states of the steps from the record, for a cluster that did not list them."""
    ended = record.read(request.record_uri, run_file.run_id, record.END) or {}
    for name, state in ended.get("steps", {}).items():
        run_file.step(name).state = state


def _is_record_visible(request: Request, run_file: RunFile) -> bool:
    """Returns True if this run's record can be read; this machine may not see a cluster's volume."""
    return record.read(request.record_uri, run_file.run_id, record.SNAPSHOT) is not None


def _outcome_by_steps(run_file: RunFile) -> str:
    """Returns the outcome of a run that succeeded, derived from the last step that its conditions allowed."""
    for step, outcome in (("release", record.ACCEPTED), ("evaluate", record.REFUSED), ("convert", record.FAILED)):
        if run_file.step(step).state in (RAN, CACHED):
            return outcome
    return record.NOTHING_NEW


def _print_outcome(request: Request, run_file: RunFile) -> None:
    if run_file.outcome == record.FAILED:
        print(f"petalflow: error: {run_file.results['error']}\nlog: {run_file.results['log']}", file=sys.stderr)
    elif not _is_record_visible(request, run_file):
        print(f"{request.name}: {run_file.outcome} (run {run_file.run_id})")
        print(f"the reason is recorded in {request.record_uri}, which this machine cannot read")
    else:
        print("\n".join(summary(request.record_uri, run_file.run_id, request.name)))
    for what in ("release", "report", "dataset"):
        if what in run_file.results:
            print(f"{what}: {run_file.results[what]}")
    for line in next_lines(run_file):
        print(line)


def next_lines(run_file: RunFile) -> Iterator[str]:
    """Yields the commands that people most likely want next, as they are typed in the working folder.

    Args:
        run_file: The file of a run that has ended.
    """
    results = run_file.results
    commands = [f"petalflow report {_typed(run_file.path.parent)} --open"] if "report" in results else []
    if "release" in results:
        model, _, _ = results["release"].rstrip("/").rpartition("/")
        commands = [f"petalflow predict {_typed(model)} PHOTO.jpg", *commands]
    if commands:
        yield "next:"
        yield from (f"  {command}" for command in commands)


def _typed(address: str | Path) -> str:
    """Returns an address as one types it in the working folder."""
    text = str(address)
    if storage.is_local(text) and Path(text).is_relative_to(Path.cwd()):
        text = str(Path(text).relative_to(Path.cwd()))
    return shlex.quote(text)
