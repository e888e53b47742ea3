from pathlib import Path

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
