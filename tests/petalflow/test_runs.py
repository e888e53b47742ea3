from pathlib import Path

import pytest

from petalflow import runs


def test_what_is_written_is_read(place: str) -> None:
    runs.write(place, "run-1", runs.VERDICT, {"accepted": True, "names": ["glöckchen"]})
    assert runs.read(place, "run-1", runs.VERDICT) == {"accepted": True, "names": ["glöckchen"]}


def test_a_part_that_was_not_reached_is_none(place: str) -> None:
    assert runs.read(place, "run-1", runs.RELEASE) is None
    runs.write(place, "run-1", runs.SNAPSHOT, {"images": 3})
    assert runs.read(place, "run-1", runs.RELEASE) is None


def test_runs_and_parts_are_kept_apart(place: str) -> None:
    for run_id in ("run-1", "run-2"):
        for part in (runs.SNAPSHOT, runs.VERDICT, runs.RELEASE):
            runs.write(place, run_id, part, {"is": f"{part} of {run_id}"})
    assert runs.read(place, "run-1", runs.VERDICT) == {"is": "verdict of run-1"}
    assert runs.read(place, "run-2", runs.RELEASE) == {"is": "release of run-2"}


def test_a_later_attempt_replaces_what_an_earlier_one_wrote(place: str) -> None:
    runs.write(place, "run-1", runs.VERDICT, {"accepted": False, "why": "old"})
    runs.write(place, "run-1", runs.VERDICT, {"accepted": True})
    assert runs.read(place, "run-1", runs.VERDICT) == {"accepted": True}


def test_the_record_lies_where_the_contract_says(tmp_path: Path) -> None:
    runs.write(str(tmp_path), "run-1", runs.VERDICT, {})
    assert (tmp_path / "run-1" / "verdict.json").is_file()


@pytest.mark.parametrize(
    ("parts", "succeeded", "outcome"),
    [
        ({}, True, runs.FAILED),
        ({"snapshot": {"nothing_new": True}}, True, runs.NOTHING_NEW),
        ({"snapshot": {"nothing_new": False}}, True, runs.FAILED),
        ({"snapshot": {"nothing_new": False}, "verdict": {"accepted": False}}, True, runs.REFUSED),
        ({"snapshot": {"nothing_new": False}, "verdict": {"accepted": False}}, False, runs.FAILED),
        ({"snapshot": {"nothing_new": False}, "verdict": {"accepted": True}}, True, runs.FAILED),
        ({"snapshot": {"nothing_new": False}, "verdict": {"accepted": True}, "release": {"v": 1}}, True, runs.ACCEPTED),
    ],
)
def test_the_outcome_follows_from_the_record(place: str, parts: dict, succeeded: bool, outcome: str) -> None:
    for part, value in parts.items():
        runs.write(place, "run-1", part, value)
    assert runs.outcome(place, "run-1", succeeded=succeeded) == outcome


def test_an_attempt_begins_without_what_the_one_before_decided(place: str) -> None:
    for part in (runs.SNAPSHOT, runs.VERDICT, runs.RELEASE):
        runs.write(place, "run-1", part, {"part": part})
    runs.begin(place, "run-1")
    assert runs.read(place, "run-1", runs.VERDICT) is None
    assert runs.read(place, "run-1", runs.RELEASE) is None
    assert runs.read(place, "run-1", runs.SNAPSHOT) is not None
