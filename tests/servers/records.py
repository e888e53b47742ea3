"""Records of runs as the steps would write them, for services that only pretend to run steps."""

from collections.abc import Mapping

from petalflow import storage
from petalflow.run import record as runs
from petalflow.verdict import Verdict
from petalflow.verdict.checks import check_min

_CLASSES = {"daisy": 8, "rose": 8, "tulip": 8}


def write_record(step: str, parameters: Mapping[str, str], outcome: str, final_state: str = "SUCCEEDED") -> None:
    """Writes a step's part of the record of a run.

    Args:
        step: The step; most do not record anything.
        parameters: The pipeline's parameters.
        outcome: The run's outcome: accepted, refused or nothing new.
        final_state: For notify: the state that the service passes to the exit task.
    """
    record, run = parameters["record_uri"], parameters["run_id"]
    if step == "snapshot":
        asked = {name: parameters[name] for name in ("source", "trigger", "code_version")}
        runs.begin(record, run, **asked)
        snapshot = {"images": 24, "classes": _CLASSES, "source": parameters["source"], "fingerprint": "f1"}
        decided = {"nothing_new": outcome == runs.NOTHING_NEW, "skipped": "", "why": ["nothing is released yet"]}
        runs.write(record, run, runs.SNAPSHOT, {**snapshot, **decided})
        runs.note_lock_acquired(record, run)
    elif step == "evaluate":
        runs.write_report(record, run, b"<html>report</html>")
        runs.write(record, run, runs.VERDICT, _verdict(98 if outcome == runs.ACCEPTED else 60).to_json())
    elif step == "release":
        uri = storage.join(parameters["registry"], parameters["name"], "1")
        runs.write(record, run, runs.RELEASE, {"uri": uri, "version": 1, "name": parameters["name"]})
    elif step == "notify":
        runs.end(record, run, parameters["state_uri"], succeeded=not runs.is_failure(final_state))


def _verdict(right: int) -> Verdict:
    return Verdict(
        checks=[check_min("min_accuracy", "", right, 100, 0.8)],
        candidate={"accuracy": right / 100},
        baseline={"why": "nothing is released yet"},
        fingerprint="f1",
        class_names=list(_CLASSES),
        test_images=100,
        temperature=1.0,
        abstain_threshold=0.0,
    )
