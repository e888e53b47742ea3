import pytest

from components.snapshot.due import why_not_due
from components.snapshot.settings import SnapshotSettings
from petalflow import clock
from petalflow.errors import UsageError

MONDAYS = SnapshotSettings(due="0 3 * * 1 Europe/Berlin", due_since="2026-01-01T12:00:00+00:00")


def start(place: str, monkeypatch, utc: str, run_id: str = "", settings: SnapshotSettings = MONDAYS) -> bool:
    """Starts a run at a time, and tells whether it was due."""
    monkeypatch.setenv(clock.VARIABLE, f"2026-{utc}:00+00:00")
    return why_not_due(place, run_id or utc, settings) == ""


def test_without_a_schedule_every_start_is_due(place: str, monkeypatch) -> None:
    assert start(place, monkeypatch, "01-06T10:00", settings=SnapshotSettings())
    assert start(place, monkeypatch, "01-06T10:00", settings=SnapshotSettings())


def test_a_cluster_that_starts_at_both_hours_is_served_at_the_right_one(place: str, monkeypatch) -> None:
    winter = [start(place, monkeypatch, f"01-{day:02}T0{hour}:00") for day in (5, 12) for hour in (1, 2)]
    assert winter == [False, True, False, True]
    summer = [start(place, monkeypatch, f"04-{day:02}T0{hour}:00") for day in (6, 13) for hour in (1, 2)]
    assert summer == [True, False, True, False]


def test_a_start_that_comes_late_is_due_all_the_same_and_once(place: str, monkeypatch) -> None:
    assert start(place, monkeypatch, "01-05T04:40")
    assert not start(place, monkeypatch, "01-05T05:00")


def test_what_was_due_before_the_schedule_was_made_is_over(place: str, monkeypatch) -> None:
    later = MONDAYS.model_copy(update={"due_since": "2026-01-07T12:00:00+00:00"})
    assert not start(place, monkeypatch, "01-08T01:00", settings=later)
    assert start(place, monkeypatch, "01-12T02:00", settings=later)


def test_a_run_that_was_cut_off_is_still_due(place: str, monkeypatch) -> None:
    assert start(place, monkeypatch, "01-05T02:00", "run-1")
    assert start(place, monkeypatch, "01-05T02:30", "run-1")
    assert not start(place, monkeypatch, "01-05T02:31", "run-2")


def test_the_reason_names_the_next_time(place: str, monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-01-05T01:00:00+00:00")
    assert why_not_due(place, "run-1", MONDAYS) == "not due now: next at 2026-01-05 03:00 CET"


@pytest.mark.parametrize("due", ["0 3 * * 1", "Europe/Berlin", "", "0 3 * * 1 Nowhere/City"])
def test_what_is_no_line_with_a_zone_is_refused(due: str) -> None:
    with pytest.raises(UsageError, match=r"snapshot\.due="):
        SnapshotSettings.of({"due": due})
