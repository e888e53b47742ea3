"""The record of a run: what its steps decided, for notify, for the command that follows the run, and for schedules.

    <record_uri>/<run id>/begin.json  snapshot.json  verdict.json  metrics.json  report.html  dataset.html
                          release.json  end.json
                          mlflow.json, where the run is logged to MLflow

The last step of a pipeline learns little about how the others ended: kfp.local and Vertex AI report SUCCEEDED for a
refused run too, and Kubeflow reports RUNNING for every run whose conditions left out steps. So each step that decides
something writes its decision here.
"""

from typing import Any

from petalflow import clock, storage
from petalflow.dataset import PAGE_FILE
from petalflow.run import execution
from petalflow.run.steps import RAN
from petalflow.verdict import REPORT_FILE

BEGIN, SNAPSHOT, VERDICT, RELEASE, END = "begin", "snapshot", "verdict", "release", "end"
# What evaluate measured, and with which settings; where the run is found in MLflow.
METRICS, MLFLOW = "metrics", "mlflow"
ACCEPTED, REFUSED, FAILED, NOTHING_NEW = "accepted", "refused", "failed", "nothing new"
# The run did not read its source: another run of the name was active, or the source was missing.
SKIPPED = "skipped"
# The step that decides each outcome.
_DECIDING = {ACCEPTED: "release", REFUSED: "evaluate", NOTHING_NEW: "snapshot", SKIPPED: "snapshot"}
_FAILURES = ("FAILED", "CANCELED", "CANCELLED")


def begin(
    record_uri: str, run_id: str, *, source: str, trigger: str, code_version: str, has_released: bool = False
) -> None:
    """Records that a run begins.

    What an interrupted attempt of the run decided is removed, since it is decided again.

    Args:
        record_uri: The folder of the records.
        run_id: The run.
        source: The source as requested, its date not filled in.
        trigger: Who or what started the run: "by hand", "schedule flowers".
        code_version: The version of the steps' code.
        has_released: True if an earlier attempt published a release; then its decisions are kept.
    """
    for part in () if has_released else (VERDICT, METRICS, RELEASE, END, MLFLOW):
        storage.remove(_address(record_uri, run_id, part))
    before = read(record_uri, run_id, BEGIN) or {"started_at": clock.stamp(), "attempts": 0}
    facts = {"source": source, "trigger": trigger, "code_version": code_version}
    write(record_uri, run_id, BEGIN, {**before, **facts, "attempts": before["attempts"] + 1})


def note_lock_acquired(record_uri: str, run_id: str) -> None:
    """Records that the run has acquired the lock: the states that steps write from now on are its own."""
    begun = read(record_uri, run_id, BEGIN) or {}
    write(record_uri, run_id, BEGIN, {"turn_at": clock.stamp(), **begun})


def is_failure(final_state: str) -> bool:
    """Returns True if the backend's final state of a run is a failure; the record decides how all other runs ended.

    Kubeflow passes the state of ML Metadata: COMPLETE, RUNNING if steps were left out, CACHED, CANCELED or FAILED.

    Args:
        final_state: The state that the exit task receives (`dsl.PipelineTaskFinalStatus.state`).
    """
    return final_state in _FAILURES


def end(record_uri: str, run_id: str, state_uri: str, *, succeeded: bool, error: str = "") -> dict[str, Any]:
    """Records how a run ended.

    Args:
        record_uri: The folder of the records.
        run_id: The run.
        state_uri: The state shared by all runs of the name, where steps record that they ran.
        succeeded: False if the backend reports a failure.
        error: The backend's error; the error of the failed step takes precedence.

    Returns:
        What was recorded: "outcome", "ended_at", "error", "steps".
    """
    begun = read(record_uri, run_id, BEGIN)
    since = begun.get("turn_at") if begun else None
    steps = execution.step_states(state_uri, run_id, since)
    result = outcome(record_uri, run_id, succeeded=True)
    # Kubeflow may keep reporting the failure of a step that succeeded on its retry. Then the
    # record decides, if the step that made its decision has succeeded.
    if not succeeded and (result == FAILED or steps[_DECIDING[result]] != RAN):
        result = FAILED
    cause = (execution.first_error(state_uri, run_id, since) or error) if result == FAILED else ""
    ended = {"outcome": result, "ended_at": clock.stamp(), "error": cause, "steps": steps}
    write(record_uri, run_id, END, ended)
    return ended


def outcome(record_uri: str, run_id: str, *, succeeded: bool) -> str:
    """Returns how a run ended: accepted, refused, failed, nothing new or skipped.

    Args:
        record_uri: The folder of the records.
        run_id: The run.
        succeeded: False if the backend reports a failure; a refused run is not one.
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
    """Writes one part of a run's record, replacing that of an earlier attempt."""
    storage.write_json(_address(record_uri, run_id, part), value)


def read(record_uri: str, run_id: str, part: str) -> dict[str, Any] | None:
    """Returns one part of a run's record, or None if the run did not get that far."""
    try:  # without checking that it exists: on a store that is another request, and the file may go in between
        return dict(storage.read_json(_address(record_uri, run_id, part)))
    except FileNotFoundError:
        return None


def write_report(record_uri: str, run_id: str, html: bytes) -> None:
    """Writes a run's report to its record, where it can be read wherever the steps ran."""
    storage.write_bytes(storage.join(record_uri, run_id, REPORT_FILE), html)


def read_report(record_uri: str, run_id: str) -> bytes:
    """Returns the report of a run that reached a verdict."""
    return storage.read_bytes(storage.join(record_uri, run_id, REPORT_FILE))


def write_dataset_page(record_uri: str, run_id: str, html: bytes) -> None:
    """Writes the page of a run's dataset to its record, next to the report, which links to it."""
    storage.write_bytes(storage.join(record_uri, run_id, PAGE_FILE), html)


def read_dataset_page(record_uri: str, run_id: str) -> bytes | None:
    """Returns the page of a run's dataset; None if an older version made the run."""
    try:
        return storage.read_bytes(storage.join(record_uri, run_id, PAGE_FILE))
    except FileNotFoundError:
        return None


def _address(record_uri: str, run_id: str, part: str) -> str:
    return storage.join(record_uri, run_id, f"{part}.json")
