"""Translating a schedule for Kubeflow Pipelines, which reads all schedules in one time zone.

What is known about it, from its sources, and from trying its parser with the expressions below:

- The API server, when it accepts a recurring run, and the controller, when it computes the next time, parse it with
  robfig/cron 1.2.0: five or six fields, seconds first, names or 0 to 6 for days of the week, without L and #.
- "TZ=Europe/Berlin 0 0 3 * * 1" is rejected, "Expected 5 to 6 fields, found 7": time zones before the fields came with
  version 3 of that parser. "0 3 * * 1" is accepted, as the third minute of every hour in January.
- The controller computes in the zone of its variable CRON_SCHEDULE_TIMEZONE, for the whole cluster; manifests set it
  from cronScheduleTimezone in the config map pipeline-install-config, to UTC. No API reports it.
- A time skipped when clocks go forward is not made up for; cron on this machine does so.

So a schedule in another zone is translated. If the clocks of the two zones do not change together, the expression names
the hours of both halves of the year, and snapshot skips the starts that are not due.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import product

from cronsim import CronSim

from petalflow import clock
from petalflow.cron import Cron
from petalflow.errors import UsageError

_DAY = 24 * 60
# Laws about daylight saving time change, so offsets further ahead are unknown.
_YEARS = 5


def six_fields(cron: Cron, cluster_zone: str) -> tuple[str, bool]:
    """Returns the fields for a cluster to start a run whenever a schedule is due, and True if it starts extra runs.

    Args:
        cron: When the schedule is due.
        cluster_zone: IANA name of the zone that the cluster reads schedules in.

    Raises:
        UsageError: If no such fields exist.
    """
    distances = _distances_minutes(cron.timezone, cluster_zone)
    lines = {cron.expression if distance == 0 else _shift(cron, distance) for distance in distances}
    whole = {line for line in lines if line}
    if len(whole) < len(lines):
        raise UsageError(
            f"the schedule {cron.expression!r} in {cron.timezone} has no single expression in {cluster_zone}, "
            f"the zone of Kubeflow Pipelines; give the times in {cluster_zone}, or change the cluster's zone "
            f"(cronScheduleTimezone in its pipeline-install-config) and set kubeflow.cron_timezone={cron.timezone}"
        )
    return f"0 {_union(whole)}", len(whole) > 1


def _distances_minutes(zone: str, cluster_zone: str) -> set[int]:
    """Returns by how much a cluster's clocks are ahead of a zone's in the coming years."""
    here, there = clock.zone(zone), clock.zone(cluster_zone)
    days = (clock.now() + timedelta(days=day) for day in range(365 * _YEARS))
    return {(_offset(time.astimezone(there)) - _offset(time.astimezone(here))) // timedelta(minutes=1) for time in days}


def _union(lines: Collection[str]) -> str:
    """Returns five fields that name every minute, hour and weekday of any of the lines."""
    if len(lines) == 1:
        return next(iter(lines))
    parsed = [CronSim(line, clock.now()) for line in lines]
    dates = {" ".join(line.split()[2:]) for line in lines}
    weekdays = {int(day) % 7 for each in parsed for day in each.weekdays if isinstance(day, int)}
    date = dates.pop() if len(dates) == 1 else f"* * {_field(weekdays)}"
    minutes = {minute for each in parsed for minute in each.minutes}
    hours = {hour for each in parsed for hour in each.hours}
    return f"{_field(minutes)} {_field(hours)} {date}"


def _offset(time: datetime) -> timedelta:
    return time.utcoffset() or timedelta()


def _shift(cron: Cron, minutes: int) -> str | None:
    """Returns five fields that are due `minutes` later, or None if no such fields exist."""
    parsed = CronSim(cron.expression, clock.now())
    _, _, day, month, weekday = cron.expression.split()
    times = [hour * 60 + minute + minutes for hour, minute in product(parsed.hours, parsed.minutes)]
    at_hours = {time % _DAY // 60 for time in times}
    at_minutes = {time % 60 for time in times}
    if len(at_hours) * len(at_minutes) != len(times):
        return None  # like 0 and 30 past two hours, a quarter of an hour later
    date = f"{day} {month} {weekday}"
    if date != "* * *":
        moved_days = {time // _DAY for time in times}
        moved = moved_days.pop()
        if moved_days or (moved and (day, month) != ("*", "*")):
            return None
        if moved:
            days = {(int(each) + moved) % 7 for each in parsed.weekdays if isinstance(each, int)}
            date = f"* * {_field(days)}"
    return f"{_field(at_minutes)} {_field(at_hours)} {date}"


def _field(numbers: Collection[int]) -> str:
    return ",".join(map(str, sorted(numbers)))
