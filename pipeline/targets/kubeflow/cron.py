"""When a schedule is due, in the words of Kubeflow Pipelines, which reads all schedules in one time zone.

What is known of it (the sources, and their parser tried with the lines below):

- The API server, when it takes a recurring run, and the controller, when it looks for the next time, both parse it with
  robfig/cron 1.2.0: five or six fields, seconds first, names or 0 to 6 for days of the week, L and # unknown.
- "TZ=Europe/Berlin 0 0 3 * * 1" is refused, "Expected 5 to 6 fields, found 7": time zones before the fields came with
  version 3 of that parser. "0 3 * * 1" is taken, for the third minute of every hour in January.
- The controller computes in the zone of its variable CRON_SCHEDULE_TIMEZONE, for the whole cluster; manifests set it
  from cronScheduleTimezone of the config map pipeline-install-config, to UTC. No API tells which it is.
- A time that the clocks jump over in spring is not made up for, where cron on this machine does.

So a schedule in another zone is translated. Where the clocks of the two do not change together, the line names the
hours of both halves of the year, and snapshot skips the start that is not due (components/snapshot/waiting.py).
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import product

from cronsim import CronSim

from petalflow import clock
from petalflow.cron import Cron
from petalflow.errors import UsageError

_DAY = 24 * 60
# Laws on time change, but nobody knows them further ahead.
_YEARS = 5


def six_fields(cron: Cron, cluster_zone: str) -> tuple[str, bool]:
    """Returns fields by which a cluster starts a run whenever a schedule is due, and whether it starts others too.

    Args:
        cron: When it is due.
        cluster_zone: IANA name of the zone that the cluster reads schedules in.

    Raises:
        UsageError: If no fields do.
    """
    distances = _distances_minutes(cron.timezone, cluster_zone)
    lines = {cron.expression if distance == 0 else _moved(cron, distance) for distance in distances}
    whole = {line for line in lines if line}
    if len(whole) < len(lines):
        raise UsageError(
            f"--cron {cron.expression!r} in {cron.timezone} is no single line in {cluster_zone}, the zone that "
            f"Kubeflow Pipelines reads it in; choose times that are, with --timezone {cluster_zone}, or give the "
            "cluster that zone (cronScheduleTimezone in its pipeline-install-config) and --set "
            f"kubeflow.cron_timezone={cron.timezone}"
        )
    return f"0 {_all_of(whole)}", len(whole) > 1


def _distances_minutes(zone: str, cluster_zone: str) -> set[int]:
    """Returns how far a cluster's clocks are ahead of a zone's in the years to come."""
    here, there = clock.zone(zone), clock.zone(cluster_zone)
    days = (clock.now() + timedelta(days=day) for day in range(365 * _YEARS))
    return {(_offset(time.astimezone(there)) - _offset(time.astimezone(here))) // timedelta(minutes=1) for time in days}


def _all_of(lines: Collection[str]) -> str:
    """Returns five fields that name every minute, hour and weekday that one of the lines does."""
    if len(lines) == 1:
        return next(iter(lines))
    parsed = [CronSim(line, clock.now()) for line in lines]
    dates = {" ".join(line.split()[2:]) for line in lines}
    weekdays = {int(day) % 7 for each in parsed for day in each.weekdays if isinstance(day, int)}
    date = dates.pop() if len(dates) == 1 else f"* * {_field(weekdays)}"
    minutes, hours = ({number for each in parsed for number in getattr(each, of)} for of in ("minutes", "hours"))
    return f"{_field(minutes)} {_field(hours)} {date}"


def _offset(time: datetime) -> timedelta:
    return time.utcoffset() or timedelta()


def _moved(cron: Cron, minutes: int) -> str | None:
    """Returns five fields that are due so much later, or None if there are none."""
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
