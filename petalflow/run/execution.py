"""The frame of a running step: log, fail in one line, record the state, keep the lock alive, end with the run.

    <state_uri>/steps/<step>.json

Every step except notify leaves its state there. A step that may be cached cannot be given its run's id, but only one
run of a name is active at a time (petalflow/run/lock.py), so every state written since a run acquired the lock belongs
to that run.
"""

import contextlib
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

from petalflow import accelerators, clock, storage
from petalflow.errors import PetalflowError
from petalflow.run import lock
from petalflow.run.lock import RUN_ID, RUNNER_PID
from petalflow.run.steps import CACHED, FAILED, NEVER_CACHED, RAN, RUNNING, SKIPPED, STEPS

log = logging.getLogger(__name__)

OUR_LOGGERS = ("components", "petalflow")
# The time a step has to save its work after its run is gone.
_GRACE_S = 30.0
_ERROR = re.compile(r"petalflow: (?P<step>[a-z]+): error: (?P<message>.*)")


@contextlib.contextmanager
def running(step: str, state_uri: str = "", run_id: str = "") -> Iterator[None]:
    """Runs a step's work inside a pipeline.

    Args:
        step: The step's name, which begins its log lines.
        state_uri: The state shared by all runs of a name, where the step records that it ran and keeps the run's lock
            alive; "" to do neither.
        run_id: The run; "" for a step that may be cached, which knows its run only from its environment, if at all.

    Raises:
        SystemExit: With the error's exit code, after one line on stdout, when the work raises a PetalflowError or
            the disk is full. Any other exception passes through with its traceback.
    """
    log_as(step)
    run_id = run_id or os.environ.get(RUN_ID, "")
    if RUNNER_PID in os.environ:
        _end_with(int(os.environ[RUNNER_PID]))  # a local run that is killed by SIGKILL cannot end its steps
    try:
        with contextlib.ExitStack() as shared:
            if state_uri:
                shared.enter_context(tracked(step, state_uri, run_id))
                shared.enter_context(lock.kept_alive(state_uri, run_id))
            yield
    except PetalflowError as error:
        print(f"petalflow: {step}: error: {error}", flush=True)
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        if full := storage.no_room(error):
            print(f"petalflow: {step}: error: {full}", flush=True)
            raise SystemExit(full.exit_code) from None
        first = str(error).partition("\n")[0]
        print(f"petalflow: {step}: error: {type(error).__name__}: {first[:300]}", flush=True)
        raise


def log_as(step: str, stream: TextIO | None = None) -> None:
    """Sends our own log to a stream, each line beginning with the step's name; libraries log warnings only.

    Args:
        step: The step.
        stream: Where to; None for stdout.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(logging.Formatter(f"{step}: %(message)s"))
    for name in OUR_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow is imported later, if at all
    accelerators.prepare_import()


def error_in(line: str) -> str | None:
    """Returns the message of an error line that `running` printed; None for any other line."""
    match = _ERROR.fullmatch(line.strip())
    return f"{match['step']}: {match['message']}" if match else None


def last_error(output: str) -> str | None:
    """Returns the message of the last error line in a step's output, or None."""
    # Not by str.splitlines, which breaks lines at characters that file names may hold, such as U+2028.
    return next(filter(None, map(error_in, reversed(output.split("\n")))), None)


@contextlib.contextmanager
def tracked(step: str, state_uri: str, run_id: str = "") -> Iterator[None]:
    """Records that a step runs, and how it ends.

    Args:
        step: The step.
        state_uri: The state shared by all runs of a name.
        run_id: The run; "" for a step that may be cached.
    """
    note: dict[str, Any] = {"step": step, "run_id": run_id, "started_at": clock.stamp(), "state": RUNNING}
    _write(state_uri, note)
    try:
        yield
    except Exception as error:
        message = str(error) if isinstance(error, PetalflowError) else f"{type(error).__name__}: {error}"
        first = message.partition("\n")[0][:500]
        _write(state_uri, {**note, "ended_at": clock.stamp(), "state": FAILED, "error": first})
        raise
    _write(state_uri, {**note, "ended_at": clock.stamp(), "state": RAN})


def step_states(state_uri: str, run_id: str, since: str | None) -> dict[str, str]:
    """Returns the state of each step of a run except notify: ran, cached, skipped, failed or running.

    Args:
        state_uri: The state shared by all runs of a name.
        run_id: The run.
        since: When the run acquired the lock, as `clock.stamp` writes it; None if it never did.
    """
    notes = _notes(state_uri, run_id, since)
    steps = STEPS[: STEPS.index("notify")]
    last = max((steps.index(step) for step in notes if step in steps), default=0)
    return {
        step: notes[step]["state"] if step in notes else _unrecorded_state(step, before_last=steps.index(step) < last)
        for step in steps
    }


def first_error(state_uri: str, run_id: str, since: str | None) -> str:
    """Returns the error of the step that failed in a run, after the step's name; "" if none was recorded."""
    notes = _notes(state_uri, run_id, since)
    failed = (notes[step] for step in STEPS if step in notes and notes[step]["state"] == FAILED)
    return next((f"{note['step']}: {note['error']}" for note in failed), "")


def _unrecorded_state(step: str, *, before_last: bool) -> str:
    if not before_last:
        return SKIPPED
    # A step that is never cached did run; a run that was skipped because of this one has overwritten its note.
    return RAN if step in NEVER_CACHED else CACHED


def _notes(state_uri: str, run_id: str, since: str | None) -> dict[str, dict[str, Any]]:
    folder = storage.join(state_uri, "steps")
    notes = [storage.read_json(storage.join(folder, file.name)) for file in storage.list_files(folder, deep=False)]
    return {note["step"]: note for note in notes if note["run_id"] == run_id or _was_written_since(note, since)}


def _was_written_since(note: dict[str, Any], since: str | None) -> bool:
    """Returns True if a step without a run id ran after `since`, and not in a rehearsal of the future."""
    return since is not None and not note["run_id"] and since <= note["started_at"] <= clock.stamp()


def _write(state_uri: str, note: dict[str, Any]) -> None:
    try:
        storage.write_json(storage.join(state_uri, "steps", f"{note['step']}.json"), note)
    except Exception as error:  # no reason for a run to fail
        log.warning("cannot write the record of this step to %s: %s", state_uri, error)


def _end_with(pid: int) -> None:
    """Ends this process soon after the process `pid` has ended."""

    def watch() -> None:
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                os.kill(os.getpid(), signal.SIGTERM)  # on which a training saves its state
                time.sleep(_GRACE_S)
                os._exit(1)  # in a thread, sys.exit would end only the thread
            except PermissionError:
                pass  # the process exists and belongs to another user
            time.sleep(0.2)

    threading.Thread(target=watch, daemon=True, name="watch-runner").start()
