"""When a schedule is due: five fields of cron in a time zone, checked when they are given.

A time that the clock leaves out in spring is due right after the gap, and one that comes twice in autumn is due the
first time, as Debian's cron has it; where minute or hour begins with a star, the clock decides.
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
# Last days, numbered weekdays, "any" and steps from a single number are each unknown to some place.
_KNOWN_EVERYWHERE = re.compile(rf"\*(/\d+)?|{_ITEM}(,{_ITEM})*", re.ASCII)


@dataclass(frozen=True)
class Cron:
    """When a schedule is due.

    Attributes:
        expression: Minute, hour, day of the month, month and day of the week, as every place understands them.
        timezone: IANA name of the zone that they are meant in.
    """

    expression: str
    timezone: str

    @classmethod
    def of(cls, expression: str, timezone: str) -> "Cron":
        """Returns it in the form that crontab, Kubeflow and Vertex AI share.

        Raises:
            UsageError: If it is no cron line or never due, or there is no such zone.
        """
        try:
            clock.zone(timezone)
        except ValueError as error:
            raise UsageError(f"--timezone: {error}") from None
        fields = expression.split()
        if len(fields) != len(_FIELDS):
            raise UsageError(
                f"--cron {expression!r} has {len(fields)} fields; it must have five ({', '.join(_FIELDS)}), "
                "like '0 3 * * 1' for Mondays at three"
            )
        _check_understood_everywhere(fields, expression)
        cron = cls(" ".join([*fields[:4], _weekdays(fields[4], expression)]), timezone)
        cron.next_after(clock.now())
        return cron

    def next_after(self, time: datetime) -> datetime:
        """Returns the first time that it is due after `time`.

        Raises:
            UsageError: If it never is.
        """
        # Compared in UTC, since Python takes a time that comes twice for unequal to any in another zone. Asked for
        # during the second time, the library names the first, which is over.
        due = next((due for due in self._times_after(time) if due.astimezone(UTC) > time.astimezone(UTC)), None)
        if due is None:
            raise UsageError(f"--cron {self.expression!r} is never due: there is no such day; correct it")
        return due

    def last_until(self, time: datetime) -> datetime:
        """Returns the last time that it was due, until `time` and including it."""
        # Asked backwards, the library has its own ideas of hours that come twice; so a step back, and on from there.
        start = next(CronSim(self.expression, (time + _DAY).astimezone(clock.zone(self.timezone)), reverse=True))
        while start.astimezone(UTC) >= time.astimezone(UTC):
            start = next(CronSim(self.expression, start, reverse=True))
        last, due = start, self.next_after(start)
        while due.astimezone(UTC) <= time.astimezone(UTC):
            last, due = due, self.next_after(due)
        return last

    def minutes(self) -> frozenset[int]:
        """Returns the minutes of an hour that it names, 0..59."""
        return frozenset(CronSim(self.expression, clock.now()).minutes)

    def _times_after(self, time: datetime) -> Iterator[datetime]:
        try:
            return CronSim(self.expression, time.astimezone(clock.zone(self.timezone)))
        except CronSimError as error:
            problem = str(error).lower()
            never = " (there is no such day, so it is never due)" if "day-of-month" in problem else ""
            raise UsageError(f"--cron {self.expression!r}: {problem}{never}; correct it") from None


def _check_understood_everywhere(fields: Sequence[str], expression: str) -> None:
    for name, field in zip(_FIELDS, fields, strict=True):
        if not _KNOWN_EVERYWHERE.fullmatch(field.upper()):
            raise UsageError(
                f"--cron {expression!r}: the {name} {field!r} is not understood everywhere; "
                "it must be *, */2, or a list of 5, 1-5 and 1-5/2"
            )
    days, weekdays = fields[2], fields[4]
    # To some, */2 is a star here, so that both must be met; to others it is a list, so that one is enough.
    if "*" not in (days, weekdays) and "*/" in days + weekdays:
        raise UsageError(
            f"--cron {expression!r}: {days} with {weekdays} means different days to different places; list them"
        )


def _weekdays(field: str, expression: str) -> str:
    """Returns the field with Sunday as 0: Kubeflow's parser knows no 7."""
    if "7" not in field:
        return field
    try:
        days = CronSim(f"0 0 * * {field}", clock.now()).weekdays
    except CronSimError:
        raise UsageError(f"--cron {expression!r}: bad day of the week {field!r}; 0 to 6 or SUN to SAT") from None
    return ",".join(str(day) for day in sorted({day % 7 for day in days if isinstance(day, int)}))
