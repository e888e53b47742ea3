from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.cron import Cron
from petalflow.errors import UsageError

ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"]
)
TIMES = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    ranges = st.tuples(numbers, numbers).map(sorted).map(lambda pair: f"{pair[0]}-{pair[1]}")
    items = numbers.map(str) | ranges | st.tuples(ranges, st.integers(1, 9)).map("{0[0]}/{0[1]}".format)
    stars = st.just("*") | st.integers(1, 9).map("*/{}".format)
    return stars | st.lists(items, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(fields(0, 59), fields(0, 23), fields(1, 31), fields(1, 12), fields(0, 7)).map(" ".join)


def is_due(cron: Cron, time: datetime) -> bool:
    """Returns True if a schedule is due in the minute of a time."""
    minute = time.astimezone(UTC).replace(second=0, microsecond=0)
    return cron.last_until(minute).astimezone(UTC) == minute


def accepted(expression: str, timezone: str) -> Cron | None:
    try:
        return Cron.of(expression, timezone)
    except UsageError:
        return None


@given(EXPRESSIONS, ZONES, TIMES)
def test_every_accepted_expression_is_due_exactly_when_it_matches(
    expression: str, timezone: str, time: datetime
) -> None:
    cron = accepted(expression, timezone)
    if cron:
        due = cron.next_after(time)
        assert due > time
        assert is_due(cron, due)
        assert is_due(cron, due.astimezone(UTC) + timedelta(seconds=59))
        assert cron.next_after(due - timedelta(minutes=1)).astimezone(UTC) == due.astimezone(UTC)


@given(EXPRESSIONS, ZONES, TIMES)
def test_the_last_time_is_the_one_before_the_next(expression: str, timezone: str, time: datetime) -> None:
    cron = accepted(expression, timezone)
    if cron:
        last = cron.last_until(time)
        assert last.astimezone(UTC) <= time
        assert cron.next_after(last).astimezone(UTC) > time
        assert cron.last_until(last).astimezone(UTC) == last.astimezone(UTC)


@given(EXPRESSIONS)
def test_no_valid_expression_is_rejected(expression: str) -> None:
    if not accepted(expression, "UTC"):
        with pytest.raises(UsageError, match=r"never due|different days"):
            Cron.of(expression, "UTC")


@given(EXPRESSIONS, ZONES)
def test_an_accepted_expression_is_accepted_again_unchanged(expression: str, timezone: str) -> None:
    cron = accepted(expression, timezone)
    assert cron is None or Cron.of(cron.expression, cron.timezone) == cron


def due_minutes(cron: Cron, since: datetime, hours: int) -> list[str]:
    """Returns the minutes in which a schedule is due, as UTC has them."""
    minutes = (since + timedelta(minutes=passed) for passed in range(hours * 60))
    return [f"{minute:%H:%M}" for minute in minutes if is_due(cron, minute)]


def test_a_schedule_follows_its_own_zone() -> None:
    cron = Cron.of("0 3 * * 1", "Europe/Berlin")
    assert due_minutes(cron, datetime(2026, 3, 2, tzinfo=UTC), 24) == ["02:00"]
    assert due_minutes(cron, datetime(2026, 3, 30, tzinfo=UTC), 24) == ["01:00"]
    assert due_minutes(cron, datetime(2026, 3, 31, tzinfo=UTC), 24) == []


@pytest.mark.parametrize(
    ("day", "due"),
    [
        (
            datetime(2026, 3, 28, 12, tzinfo=UTC),
            ["01:00"],
        ),  # half past two is skipped: due at three, right after the gap
        (datetime(2026, 10, 24, 12, tzinfo=UTC), ["00:30"]),  # half past two occurs twice: due the first time
    ],
)
def test_a_schedule_is_due_once_when_the_clock_changes(day: datetime, due: list[str]) -> None:
    assert due_minutes(Cron.of("30 2 * * *", "Europe/Berlin"), day, 24) == due


def test_an_hourly_schedule_follows_the_clock() -> None:
    cron = Cron.of("30 * * * *", "Europe/Berlin")
    assert due_minutes(cron, datetime(2026, 10, 25, tzinfo=UTC), 3) == ["00:30", "01:30", "02:30"]


def test_after_the_first_of_two_times_the_next_is_tomorrow() -> None:
    between = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # ten past two, the second time
    assert Cron.of("30 2 * * *", "Europe/Berlin").next_after(between).day == 26


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0 3 * * 7", "0 3 * * 0"),
        ("0 3 * * 5-7", "0 3 * * 0,5,6"),
        ("0 3 * * sat,7", "0 3 * * 0,6"),
        ("  0  3 1 JUL mon-fri/2 ", "0 3 1 JUL mon-fri/2"),
    ],
)
def test_sunday_is_0_since_not_every_target_accepts_7(given: str, kept: str) -> None:
    assert Cron.of(given, "UTC").expression == kept


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 3 30 2 *", "never due"),
        ("0 3 31 4,6,9,11 *", "never due"),
        ("60 3 * * *", "bad minute"),
        ("0 3 * * FRI-MON", "bad day-of-week"),
        ("0 3 * * 8-7", "bad day of the week"),
        ("0 3 * *", "has 4 fields; a cron expression has five"),
        ("0 0 3 * * 1", "has 6 fields"),
        ("@weekly", "has 1 fields"),
        ("0 3 L * *", "not all targets understand the day of the month 'L'"),
        ("0 3 * * 1#2", "not all targets understand the day of the week '1#2'"),
        ("0 3 ? * *", "not all targets understand the day of the month '?'"),
        ("5/15 * * * *", "understand the minute '5/15'"),
        ("*,5 * * * *", "understand the minute '*,5'"),
        ("0 3 */2 * 1", "*/2 with 1 means different days on different targets"),
        ("0 3 1 * */2", "1 with */2 means different days"),
    ],
)
def test_an_expression_that_is_never_due_or_is_ambiguous_is_rejected(expression: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Cron.of(expression, "UTC")
    assert words in str(caught.value)
    assert repr(expression) in str(caught.value)


def test_the_next_times_follow_each_other() -> None:
    mondays = Cron.of("0 3 * * 1", "Europe/Berlin").next_times(datetime(2026, 3, 1, tzinfo=UTC), 3)
    assert [f"{time:%m-%d %H:%M}" for time in mondays] == ["03-02 03:00", "03-09 03:00", "03-16 03:00"]


def test_an_unknown_zone_is_rejected() -> None:
    with pytest.raises(UsageError, match=r"unknown time zone 'Europe/Berln'.*Europe/Berlin"):
        Cron.of("0 3 * * 1", "Europe/Berln")
