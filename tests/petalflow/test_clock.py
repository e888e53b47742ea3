from datetime import UTC, datetime

import pytest

from petalflow import clock
from petalflow.errors import UsageError


def test_the_time_is_the_machines_clock_in_utc(monkeypatch) -> None:
    monkeypatch.delenv(clock.VARIABLE, raising=False)
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.now().tzinfo is UTC


def test_the_time_can_be_set_for_a_rehearsal(monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-03-02T03:00:00+01:00")
    assert clock.now() == datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert clock.stamp() == "2026-03-02T02:00:00+00:00"


@pytest.mark.parametrize("given", ["monday", "", "2026-03-02T03:00:00"])
def test_an_invalid_time_or_one_without_a_zone_is_rejected(monkeypatch, given: str) -> None:
    monkeypatch.setenv(clock.VARIABLE, given)
    with pytest.raises(UsageError, match="is not a time with a UTC offset"):
        clock.now()


def test_a_zone_is_found_by_its_name() -> None:
    assert datetime(2026, 7, 1, tzinfo=clock.zone("Europe/Berlin")).utcoffset().total_seconds() == 7200


@pytest.mark.parametrize(
    ("name", "near"), [("Europe/Berln", "Europe/Berlin"), ("", "Europe/Berlin"), ("CET+1", "like")]
)
def test_for_an_unknown_zone_the_nearest_is_suggested(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"unknown time zone '{name.replace('+', '.')}'.*{near}"):
        clock.zone(name)
