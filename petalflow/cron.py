"""When a schedule is due: a cron expression of five fields in a time zone.

A time that is skipped when clocks go forward is due right after the gap; a time that occurs twice when they go back is
due the first time, as in Debian's cron. If minute or hour begins with a star, it is due whenever the clock matches.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from petalflow import clock
from petalflow.errors import UsageError

_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_VALUE = r"(\d+|[A-Z]{3})"
_ITEM = rf"{_VALUE}(-{_VALUE}(/\d+)?)?"
_DAY = timedelta(days=1)
# L, #, ? and steps from a single number are each unknown to some target.
_KNOWN_EVERYWHERE = re.compile(rf"\*(/\d+)?|{_ITEM}(,{_ITEM})*", re.ASCII)


@dataclass(frozen=True)
class Cron:
    """When a schedule is due.

    Attributes:
        expression: Minute, hour, day of the month, month and day of the week, in the syntax that all targets share.
        timezone: IANA name of the zone that they refer to.
    """

    expression: str
    timezone: str

    @classmethod
    def of(cls, expression: str, timezone: str) -> "Cron":
        """Returns a schedule in the syntax that crontab, Kubeflow and Vertex AI share.

        Raises:
            UsageError: If the expression is invalid or never due, or the zone is unknown.
        """
        try:
            clock.zone(timezone)
        except ValueError as error:
            raise UsageError(str(error)) from None
        fields = expression.split()
        if len(fields) != len(_FIELDS):
            raise UsageError(
                f"{expression!r} has {len(fields)} fields; a cron expression has five ({', '.join(_FIELDS)}), "
                "like '0 3 * * 1' for Mondays at 03:00"
            )
        _check_understood_everywhere(fields, expression)
        cron = cls(" ".join([*fields[:4], _weekdays(fields[4], expression)]), timezone)
        cron.next_after(clock.now())
        return cron

    def next_after(self, time: datetime) -> datetime:
        """Returns the first time after `time` at which the schedule is due.

        Raises:
            UsageError: If it is never due.
        """
        # Compared in UTC, since Python considers an ambiguous time unequal to any time in another zone. When asked
        # during the second occurrence, the library returns the first, which is over.
        due = next((due for due in self._times_after(time) if due.astimezone(UTC) > time.astimezone(UTC)), None)
        if due is None:
            raise UsageError(f"{self.expression!r} is never due: no such day exists; correct it")
        return due

    def next_times(self, time: datetime, count: int) -> list[datetime]:
        """Returns the first times after `time` at which the schedule is due, ascending."""
        times: list[datetime] = []
        for _ in range(count):
            times.append(self.next_after(times[-1] if times else time))
        return times

    def last_until(self, time: datetime) -> datetime:
        """Returns the last time at or before `time` at which the schedule was due."""
        # Iterating backwards, the library treats ambiguous hours differently; so go back, and forward from there.
        start = next(CronSim(self.expression, (time + _DAY).astimezone(clock.zone(self.timezone)), reverse=True))
        while start.astimezone(UTC) >= time.astimezone(UTC):
            start = next(CronSim(self.expression, start, reverse=True))
        last, due = start, self.next_after(start)
        while due.astimezone(UTC) <= time.astimezone(UTC):
            last, due = due, self.next_after(due)
        return last

    def minutes(self) -> frozenset[int]:
        """Returns the minutes of an hour that the expression names, 0..59."""
        return frozenset(CronSim(self.expression, clock.now()).minutes)

    def _times_after(self, time: datetime) -> Iterator[datetime]:
        try:
            return CronSim(self.expression, time.astimezone(clock.zone(self.timezone)))
        except CronSimError as error:
            problem = str(error).lower()
            never = " (no such day exists, so it is never due)" if "day-of-month" in problem else ""
            raise UsageError(f"{self.expression!r}: {problem}{never}; correct it") from None


def _check_understood_everywhere(fields: Sequence[str], expression: str) -> None:
    for name, field in zip(_FIELDS, fields, strict=True):
        if not _KNOWN_EVERYWHERE.fullmatch(field.upper()):
            raise UsageError(
                f"{expression!r}: not all targets understand the {name} {field!r}; "
                "use *, */2, or a list of 5, 1-5 and 1-5/2"
            )
    days, weekdays = fields[2], fields[4]
    # Some treat */2 as a star here, so that both fields must match; others as a list, so that one is enough.
    if "*" not in (days, weekdays) and "*/" in days + weekdays:
        raise UsageError(
            f"{expression!r}: {days} with {weekdays} means different days on different targets; "
            "list the days instead of using */"
        )


def _weekdays(field: str, expression: str) -> str:
    """Returns the field with Sunday as 0, since Kubeflow's parser does not accept 7."""
    if "7" not in field:
        return field
    try:
        days = CronSim(f"0 0 * * {field}", clock.now()).weekdays
    except CronSimError:
        raise UsageError(f"{expression!r}: bad day of the week {field!r}; use 0 to 6 or SUN to SAT") from None
    return ",".join(str(day) for day in sorted({day % 7 for day in days if isinstance(day, int)}))
