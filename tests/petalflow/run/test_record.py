from pathlib import Path

import pytest

from petalflow import clock
from petalflow.errors import PetalflowError
from petalflow.run import execution, record


def test_what_is_written_is_read(place: str) -> None:
    record.write(place, "run-1", record.VERDICT, {"accepted": True, "names": ["glöckchen"]})
    assert record.read(place, "run-1", record.VERDICT) == {"accepted": True, "names": ["glöckchen"]}


def test_a_part_that_was_not_reached_is_none(place: str) -> None:
    assert record.read(place, "run-1", record.RELEASE) is None
    record.write(place, "run-1", record.SNAPSHOT, {"images": 3})
    assert record.read(place, "run-1", record.RELEASE) is None


def test_runs_and_parts_are_kept_apart(place: str) -> None:
    for run_id in ("run-1", "run-2"):
        for part in (record.SNAPSHOT, record.VERDICT, record.RELEASE):
            record.write(place, run_id, part, {"is": f"{part} of {run_id}"})
    assert record.read(place, "run-1", record.VERDICT) == {"is": "verdict of run-1"}
    assert record.read(place, "run-2", record.RELEASE) == {"is": "release of run-2"}


def test_a_later_attempt_replaces_what_an_earlier_one_wrote(place: str) -> None:
    record.write(place, "run-1", record.VERDICT, {"accepted": False, "why": "old"})
    record.write(place, "run-1", record.VERDICT, {"accepted": True})
    assert record.read(place, "run-1", record.VERDICT) == {"accepted": True}


def test_the_record_is_at_the_documented_path(tmp_path: Path) -> None:
    record.write(str(tmp_path), "run-1", record.VERDICT, {})
    assert (tmp_path / "run-1" / "verdict.json").is_file()


@pytest.mark.parametrize(
    ("parts", "succeeded", "outcome"),
    [
        ({}, True, record.FAILED),
        ({"snapshot": {"nothing_new": True}}, True, record.NOTHING_NEW),
        ({"snapshot": {"nothing_new": False, "skipped": "another run is going on"}}, True, record.SKIPPED),
        ({"snapshot": {"nothing_new": False}}, True, record.FAILED),
        ({"snapshot": {"nothing_new": False}, "verdict": {"accepted": False}}, True, record.REFUSED),
        ({"snapshot": {"nothing_new": False}, "verdict": {"accepted": False}}, False, record.FAILED),
        ({"snapshot": {"nothing_new": False}, "verdict": {"accepted": True}}, True, record.FAILED),
        (
            {"snapshot": {"nothing_new": False}, "verdict": {"accepted": True}, "release": {"v": 1}},
            True,
            record.ACCEPTED,
        ),
    ],
)
def test_the_outcome_follows_from_the_record(place: str, parts: dict, succeeded: bool, outcome: str) -> None:
    for part, value in parts.items():
        record.write(place, "run-1", part, value)
    assert record.outcome(place, "run-1", succeeded=succeeded) == outcome


ASKED = {"source": "/photos", "trigger": "by hand", "code_version": "c1"}


def test_a_new_attempt_removes_earlier_decisions(place: str, monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-03-02T03:00:00+00:00")
    record.begin(place, "run-1", **ASKED)
    for part in (record.SNAPSHOT, record.VERDICT, record.RELEASE, record.END):
        record.write(place, "run-1", part, {"part": part})
    monkeypatch.setenv(clock.VARIABLE, "2026-03-02T04:00:00+00:00")
    record.begin(place, "run-1", **ASKED)
    assert [record.read(place, "run-1", part) for part in (record.VERDICT, record.RELEASE, record.END)] == [None] * 3
    assert record.read(place, "run-1", record.SNAPSHOT) is not None
    assert record.read(place, "run-1", record.BEGIN) == {
        **ASKED, "started_at": "2026-03-02T03:00:00+00:00", "attempts": 2
    }  # fmt: skip


def test_the_end_records_the_outcome_and_the_steps(place: str) -> None:
    with execution.tracked("convert", f"{place}/state"):
        pass  # for the run that this one waited for
    record.begin(place, "run-1", **ASKED)
    with execution.tracked("snapshot", f"{place}/state", "run-1"):
        record.write(place, "run-1", record.SNAPSHOT, {"nothing_new": True})
    ended = record.end(place, "run-1", f"{place}/state", succeeded=True)
    assert ended == record.read(place, "run-1", record.END)
    assert (ended["outcome"], ended["error"]) == ("nothing new", "")
    assert [step for step, state in ended["steps"].items() if state != "skipped"] == ["snapshot"]


def test_states_count_from_the_time_the_run_acquired_the_lock(place: str, monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-03-02T03:00:00+00:00")
    record.begin(place, "run-1", **ASKED)
    with execution.tracked("train", f"{place}/state"):
        pass  # for the run that this one waits for
    monkeypatch.setenv(clock.VARIABLE, "2026-03-02T04:00:00+00:00")
    record.note_lock_acquired(place, "run-1")
    for step, run_id in (("snapshot", "run-1"), ("convert", ""), ("validate", ""), ("evaluate", "run-1")):
        with execution.tracked(step, f"{place}/state", run_id):
            pass
    record.write(place, "run-1", record.SNAPSHOT, {"nothing_new": False})
    record.write(place, "run-1", record.VERDICT, {"accepted": False})
    steps = record.end(place, "run-1", f"{place}/state", succeeded=True)["steps"]
    assert [step for step in steps if steps[step] == "ran"] == ["snapshot", "convert", "validate", "evaluate"]
    assert steps["train"] == "cached"


def test_an_attempt_after_a_release_keeps_earlier_decisions(place: str) -> None:
    record.begin(place, "run-1", **ASKED)
    record.write(place, "run-1", record.VERDICT, {"accepted": True})
    record.begin(place, "run-1", **ASKED, has_released=True)
    assert record.read(place, "run-1", record.VERDICT) == {"accepted": True}


def test_a_failed_run_records_the_error_of_its_step_rather_than_the_backends(place: str) -> None:
    record.begin(place, "run-1", **ASKED)
    with pytest.raises(PetalflowError), execution.tracked("snapshot", f"{place}/state", "run-1"):
        raise PetalflowError("source /photos is gone")
    ended = record.end(place, "run-1", f"{place}/state", succeeded=False, error="task snapshot failed with exit code 1")
    assert (ended["outcome"], ended["error"]) == ("failed", "snapshot: source /photos is gone")


def test_a_run_that_never_began_records_the_backends_error(place: str) -> None:
    ended = record.end(place, "run-1", f"{place}/state", succeeded=False, error="no such image")
    assert (ended["outcome"], ended["error"]) == ("failed", "no such image")


NEW = {record.SNAPSHOT: {"nothing_new": False}}


@pytest.mark.parametrize(
    ("parts", "decides", "outcome"),
    [
        ({record.SNAPSHOT: {"nothing_new": True}}, "snapshot", record.NOTHING_NEW),
        ({record.SNAPSHOT: {"nothing_new": False, "skipped": "another run is active"}}, "snapshot", record.SKIPPED),
        ({**NEW, record.VERDICT: {"accepted": False}}, "evaluate", record.REFUSED),
        ({**NEW, record.VERDICT: {"accepted": True}, record.RELEASE: {"version": 1}}, "release", record.ACCEPTED),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_run_whose_failed_step_succeeded_on_retry_has_not_failed(
    place: str, parts, decides: str, outcome: str, finished: bool
) -> None:
    # Kubeflow keeps FAILED for the group of a step that failed once, unless all steps of the group follow
    # (UpdateDAGExecutionsState in backend/src/v2/metadata/client.go).
    record.begin(place, "run-1", **ASKED)
    if outcome != record.SKIPPED:
        record.note_lock_acquired(place, "run-1")
    for part, value in parts.items():
        record.write(place, "run-1", part, value)
    run_id = "" if decides == "evaluate" else "run-1"  # as the steps do
    with pytest.raises(MemoryError), execution.tracked(decides, f"{place}/state", run_id):
        raise MemoryError
    if finished:
        with execution.tracked(decides, f"{place}/state", run_id):
            pass
    ended = record.end(place, "run-1", f"{place}/state", succeeded=False)
    outcome = outcome if finished else record.FAILED
    assert ended["outcome"] == outcome
