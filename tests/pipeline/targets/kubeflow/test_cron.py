import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from petalflow import clock
from petalflow.cron import Cron
from petalflow.errors import UsageError
from pipeline.targets.kubeflow.cron import six_fields
from tests.servers.cron import problems_with_seconds

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
# Their clocks never change; they are ahead and behind, by hours and parts of hours.
STEADY = ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tokyo", "America/Bogota", "Pacific/Kiritimati", "Etc/GMT+12"]
HOURS = st.sampled_from(["*", "*/6", "0", "3", "23", "8-17", "1,13", "22-23"])
MINUTES = st.sampled_from(["*", "*/15", "0", "30", "5,35", "59"])
DAYS = st.sampled_from(["* * *", "* * 1", "* * MON-FRI", "* * 0,6", "1 * *", "*/2 * *", "15 6 *", "1 * 1", "* 2 *"])


@pytest.fixture(autouse=True, scope="module")
def that_day() -> Iterator[None]:
    """Laws about clocks change, so what is known about the coming years depends on the day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(clock.VARIABLE, NOW.isoformat())
        yield


def times(expression: str, zone: str) -> list[datetime]:
    due = CronSim(expression, NOW.astimezone(ZoneInfo(zone)))
    return [time.astimezone(UTC) for time in itertools.islice(due, 12)]


@settings(max_examples=60)
@given(MINUTES, HOURS, DAYS, st.sampled_from(STEADY), st.sampled_from(STEADY))
def test_a_cluster_in_another_zone_starts_runs_when_the_schedule_is_due(minute, hour, days, zone, cluster_zone) -> None:
    cron = Cron.of(f"{minute} {hour} {days}", zone)
    try:
        six, too_often = six_fields(cron, cluster_zone)
    except UsageError:
        assume(False)
    assert not problems_with_seconds(six)
    assert six.startswith("0 ")
    assert not too_often
    assert times(six.removeprefix("0 "), cluster_zone) == times(cron.expression, zone)


@pytest.mark.parametrize(
    ("cron", "zone", "cluster_zone", "six"),
    [
        ("0 3 * * MON", "UTC", "UTC", "0 0 3 * * MON"),
        ("0 3 1-7/2 JAN *", "Europe/Berlin", "Europe/Berlin", "0 0 3 1-7/2 JAN *"),
        ("0 3 * * 1", "Europe/Berlin", "Europe/Paris", "0 0 3 * * 1"),
        ("0 3 * * 1", "Asia/Dubai", "UTC", "0 0 23 * * 0"),
        ("0 3 * * 1", "Asia/Kolkata", "UTC", "0 30 21 * * 0"),
        ("0 22 * * 6", "America/Bogota", "UTC", "0 0 3 * * 0"),
        ("0 9 1 * *", "Asia/Dubai", "UTC", "0 0 5 1 * *"),
    ],
)
def test_expressions_are_moved_as_a_person_would(cron, zone, cluster_zone, six) -> None:
    assert six_fields(Cron.of(cron, zone), cluster_zone) == (six, False)


# Laws about clocks change, and Morocco's follow the moon.
KNOWN_AHEAD = timedelta(days=365 * 5)
CHANGING = ["Europe/Berlin", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"]


@settings(max_examples=60)
@given(MINUTES, HOURS, DAYS, st.sampled_from(CHANGING), st.sampled_from(["UTC", "Asia/Kolkata", *CHANGING[:3]]))
def test_if_clocks_change_at_different_times_a_cluster_starts_runs_at_every_possible_time(
    minute, hour, days, zone, cluster_zone
) -> None:
    cron = Cron.of(f"{minute} {hour} {days}", zone)
    try:
        six, _ = six_fields(cron, cluster_zone)
    except UsageError:
        assume(False)
    assert not problems_with_seconds(six)
    starts = Cron(six.removeprefix("0 "), cluster_zone)
    time = NOW
    for _ in range(10):  # in all seasons
        time = cron.next_after(time + timedelta(days=40))
        if time < NOW + KNOWN_AHEAD and _is_plain(time):
            assert starts.last_until(time).astimezone(UTC) == time.astimezone(UTC), (
                f"{six} in {cluster_zone} misses {time}"
            )


def _is_plain(time: datetime) -> bool:
    """Returns True if no clock is changed within a day of a time."""
    return all(
        (time + timedelta(days=days)).utcoffset() == time.utcoffset() and _has_no_clock_change(time, zone)
        for days in (-1, 1)
        for zone in ("Europe/Berlin", "America/New_York")
    )


def _has_no_clock_change(time: datetime, zone: str) -> bool:
    there = [(time.astimezone(UTC) + timedelta(days=days)).astimezone(ZoneInfo(zone)) for days in (-1, 1)]
    return there[0].utcoffset() == there[1].utcoffset()


@pytest.mark.parametrize(
    ("cron", "six"),
    [
        ("0 3 * * 1", "0 0 1,2 * * 1"),
        ("30 1 * * 1", "0 30 0,23 * * 0,1"),
        ("0 9 1 * *", "0 0 7,8 1 * *"),
    ],
)
def test_in_berlin_a_cluster_looks_at_both_hours(cron: str, six: str) -> None:
    assert six_fields(Cron.of(cron, "Europe/Berlin"), "UTC") == (six, True)


@pytest.mark.parametrize(("cron", "cluster_zone"), [("*/15 * * * *", "UTC"), ("0 3 * * 1", "Europe/London")])
def test_a_cluster_starts_no_more_runs_than_necessary(cron: str, cluster_zone: str) -> None:
    _, too_often = six_fields(Cron.of(cron, "Europe/Berlin"), cluster_zone)
    assert not too_often


@pytest.mark.parametrize("cron", ["0 3 1 * *", "0 0,12 * * 1", "0,45 3 * * *"])
def test_a_schedule_without_a_single_expression_is_rejected(cron) -> None:
    with pytest.raises(UsageError, match=r"has no single expression in UTC.*give the times in UTC"):
        six_fields(Cron.of(cron, "Asia/Kolkata"), "UTC")
