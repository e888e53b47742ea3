import pytest

from petalflow import clock, storage
from petalflow.errors import PetalflowError
from petalflow.run import activity

SINCE = "2026-03-02T03:00:00+00:00"


@pytest.fixture(autouse=True)
def monday(monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, SINCE)


def run(place: str, *steps: str, run_id: str = "run-1") -> None:
    for step in steps:
        with activity.noted(step, place, run_id if step in ("snapshot", "evaluate", "release") else ""):
            pass


def states(place: str, run_id: str = "run-1") -> dict[str, str]:
    return activity.states(place, run_id, SINCE)


def test_a_step_that_left_no_note_before_one_that_did_was_cached(place: str) -> None:
    run(place, "snapshot", "validate", "train", "evaluate")
    assert states(place) == {
        "snapshot": "ran", "convert": "cached", "validate": "ran", "train": "ran", "evaluate": "ran",
        "export": "skipped", "release": "skipped",
    }  # fmt: skip


def test_notes_of_an_earlier_run_do_not_count(place: str, monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-02-23T03:00:00+00:00")
    run(place, "snapshot", "convert", "validate", "train", "evaluate", run_id="run-0")
    monkeypatch.setenv(clock.VARIABLE, SINCE)
    run(place, "snapshot", "validate", "evaluate")
    assert [step for step, state in states(place).items() if state == "cached"] == ["convert", "train"]


def test_another_run_that_left_does_not_count(place: str) -> None:
    run(place, "snapshot", "convert", "validate", "train")
    with activity.noted("snapshot", place, "run-2"):
        pass
    run(place, "evaluate")
    assert states(place)["snapshot"] == "ran"
    assert states(place, "run-2")["snapshot"] == "ran"


def test_a_step_that_fails_says_why_in_a_line(place: str) -> None:
    run(place, "snapshot")
    with pytest.raises(PetalflowError), activity.noted("convert", place):
        raise PetalflowError("source /photos changed\nTraceback")
    assert states(place)["convert"] == "failed"
    assert states(place)["train"] == "skipped"
    assert activity.first_error(place, "run-1", SINCE) == "convert: source /photos changed"


def test_a_defect_is_named_by_its_kind(place: str) -> None:
    with pytest.raises(KeyError), activity.noted("train", place):
        raise KeyError("epochs")
    assert activity.first_error(place, "run-1", SINCE) == "train: KeyError: 'epochs'"


def test_a_step_that_was_killed_is_seen_running(place: str) -> None:
    with activity.noted("train", place):
        assert states(place)["train"] == "running"


def test_a_note_that_cannot_be_written_is_not_worth_a_run(tmp_path, caplog) -> None:
    (tmp_path / "file").write_text("")
    with activity.noted("train", str(tmp_path / "file" / "state")):
        pass
    assert "cannot note under" in caplog.text


def test_a_run_that_noted_nothing(place: str) -> None:
    assert set(states(place).values()) == {"skipped"}
    assert activity.first_error(place, "run-1", SINCE) == ""
    assert not storage.exists(storage.join(place, "steps"))
