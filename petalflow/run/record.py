"""The record of a run: what its steps decided, where notify, follow and schedules read it.

    <record_uri>/<run id>/begin.json  snapshot.json  verdict.json  report.html  release.json  end.json

An exit task learns only SUCCEEDED or FAILED, and a refused run is SUCCEEDED everywhere;
so the steps that decide write here what they decided.
"""

from typing import Any

from petalflow import clock, storage
from petalflow.run import execution
from petalflow.verdict import REPORT_FILE

BEGIN, SNAPSHOT, VERDICT, RELEASE, END = "begin", "snapshot", "verdict", "release", "end"
ACCEPTED, REFUSED, FAILED, NOTHING_NEW = "accepted", "refused", "failed", "nothing new"
# Left without looking: another run of the name goes on, or there is no source yet.
SKIPPED = "skipped"


def begin(
    record_uri: str, run_id: str, *, source: str, trigger: str, code_version: str, has_released: bool = False
) -> None:
    """Notes that a run begins; clears what an attempt of it that was killed had decided: it is decided again.

    Args:
        record_uri: Where the records are.
        run_id: The run.
        source: As it was asked for; a date in it is not filled in.
        trigger: Who or what asked: "by hand", "schedule flowers".
        code_version: Of the steps.
        has_released: Whether that attempt came to a release; then what it decided stands.
    """
    for part in () if has_released else (VERDICT, RELEASE, END):
        storage.remove(_address(record_uri, run_id, part))
    before = read(record_uri, run_id, BEGIN) or {"started_at": clock.stamp(), "attempts": 0}
    asked = {"source": source, "trigger": trigger, "code_version": code_version}
    write(record_uri, run_id, BEGIN, {**before, **asked, "attempts": before["attempts"] + 1})


def note_lock_acquired(record_uri: str, run_id: str) -> None:
    """Records that the run has acquired the lock: the states that steps write from now on are its own."""
    begun = read(record_uri, run_id, BEGIN) or {}
    write(record_uri, run_id, BEGIN, {"turn_at": clock.stamp(), **begun})


def end(record_uri: str, run_id: str, state_uri: str, *, succeeded: bool, error: str = "") -> dict[str, Any]:
    """Notes how a run ended, and returns that: "outcome", "ended_at", "error", "steps".

    Args:
        record_uri: Where the records are.
        run_id: The run.
        state_uri: Where its steps noted that they ran.
        succeeded: What the backend says of it.
        error: What the backend says of a failure; what the step itself said counts for more.
    """
    begun = read(record_uri, run_id, BEGIN)
    since = begun.get("turn_at") if begun else None
    how = outcome(record_uri, run_id, succeeded=succeeded)
    said = (execution.first_error(state_uri, run_id, since) or error) if how == FAILED else ""
    steps = execution.step_states(state_uri, run_id, since)
    ended = {"outcome": how, "ended_at": clock.stamp(), "error": said, "steps": steps}
    write(record_uri, run_id, END, ended)
    return ended


def outcome(record_uri: str, run_id: str, *, succeeded: bool) -> str:
    """Returns how a run ended: accepted, refused, failed, nothing new or skipped.

    Args:
        record_uri: Where the records are.
        run_id: The run.
        succeeded: What the backend says of it; it says so of a refused run too.
    """
    snapshot = read(record_uri, run_id, SNAPSHOT)
    if not succeeded or snapshot is None:
        return FAILED
    if snapshot.get("skipped"):
        return SKIPPED
    if snapshot["nothing_new"]:
        return NOTHING_NEW
    if read(record_uri, run_id, RELEASE):
        return ACCEPTED
    verdict = read(record_uri, run_id, VERDICT)
    return REFUSED if verdict and not verdict["accepted"] else FAILED


def write(record_uri: str, run_id: str, part: str, value: dict[str, Any]) -> None:
    """Writes one part of a run's record, replacing what an earlier attempt of the run wrote."""
    storage.write_json(_address(record_uri, run_id, part), value)


def read(record_uri: str, run_id: str, part: str) -> dict[str, Any] | None:
    """Returns one part of a run's record, or None if the run did not come so far."""
    try:  # not asked first whether it is there: on a store that is a request more, and it may go meanwhile
        return dict(storage.read_json(_address(record_uri, run_id, part)))
    except FileNotFoundError:
        return None


def write_report(record_uri: str, run_id: str, html: bytes) -> None:
    """Keeps the report of a run where whoever follows the run can read it, wherever the steps ran."""
    storage.write_bytes(storage.join(record_uri, run_id, REPORT_FILE), html)


def read_report(record_uri: str, run_id: str) -> bytes:
    """Returns the report of a run that came to a verdict."""
    return storage.read_bytes(storage.join(record_uri, run_id, REPORT_FILE))


def _address(record_uri: str, run_id: str, part: str) -> str:
    return storage.join(record_uri, run_id, f"{part}.json")
