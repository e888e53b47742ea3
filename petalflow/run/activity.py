"""Which steps a run ran: each leaves a note under the state, since a step that is cached must not know the run.

    <state_uri>/steps/<step>.json

One run of a name goes on at a time (petalflow/run/lock.py), so what was noted since it was a run's turn is its own.
"""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from petalflow import clock, storage
from petalflow.errors import PetalflowError
from petalflow.run.steps import NEVER_CACHED, STEPS

log = logging.getLogger(__name__)

RUNNING, RAN, CACHED, SKIPPED, FAILED = "running", "ran", "cached", "skipped", "failed"


@contextlib.contextmanager
def noted(step: str, state_uri: str, run_id: str = "") -> Iterator[None]:
    """Notes that a step runs, and how it ends.

    Args:
        step: The step.
        state_uri: What all runs of a name share.
        run_id: The run, if the step may know it.
    """
    note: dict[str, Any] = {"step": step, "run_id": run_id, "started_at": clock.stamp(), "state": RUNNING}
    _write(state_uri, note)
    try:
        yield
    except Exception as error:
        said = str(error) if isinstance(error, PetalflowError) else f"{type(error).__name__}: {error}"
        _write(state_uri, {**note, "ended_at": clock.stamp(), "state": FAILED, "error": said.splitlines()[0][:500]})
        raise
    _write(state_uri, {**note, "ended_at": clock.stamp(), "state": RAN})


def states(state_uri: str, run_id: str, since: str | None) -> dict[str, str]:
    """Returns what became of each step of a run but notify: ran, cached, skipped, failed or running.

    Args:
        state_uri: What all runs of a name share.
        run_id: The run.
        since: When it was the run's turn, as `clock.stamp` says it; None if it never was.
    """
    noted = _notes(state_uri, run_id, since)
    steps = STEPS[: STEPS.index("notify")]
    last = max((steps.index(step) for step in noted if step in steps), default=0)
    return {step: noted[step]["state"] if step in noted else _unnoted(step, steps.index(step) < last) for step in steps}


def first_error(state_uri: str, run_id: str, since: str | None) -> str:
    """Returns what the step that failed in a run said, after its name; "" if none said anything."""
    notes = _notes(state_uri, run_id, since)
    failed = (notes[step] for step in STEPS if step in notes and notes[step]["state"] == FAILED)
    return next((f"{note['step']}: {note['error']}" for note in failed), "")


def _unnoted(step: str, before_the_last: bool) -> str:
    if not before_the_last:
        return SKIPPED
    # A run that left because of this one has written over its note.
    return RAN if step in NEVER_CACHED else CACHED


def _notes(state_uri: str, run_id: str, since: str | None) -> dict[str, dict[str, Any]]:
    folder = storage.join(state_uri, "steps")
    notes = [storage.read_json(storage.join(folder, file.name)) for file in storage.list_files(folder, deep=False)]
    return {note["step"]: note for note in notes if note["run_id"] == run_id or _is_of_turn(note, since)}


def _is_of_turn(note: dict[str, Any], since: str | None) -> bool:
    """Tells whether a step that does not know its run ran since a time; a rehearsal of the future did not."""
    return since is not None and not note["run_id"] and since <= note["started_at"] <= clock.stamp()


def _write(state_uri: str, note: dict[str, Any]) -> None:
    try:
        storage.write_json(storage.join(state_uri, "steps", f"{note['step']}.json"), note)
    except Exception as error:  # a note is not worth a run
        log.warning("cannot note under %s what this step does: %s", state_uri, error)
