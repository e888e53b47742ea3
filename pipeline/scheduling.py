"""Schedules: made when all that can be checked was, and then listed, paused, resumed, run now and deleted."""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from petalflow import clock, registry
from petalflow.errors import UsageError
from pipeline.compile import check_compiles
from pipeline.configuration import read_target_settings
from pipeline.running import check_out
from pipeline.schedule import Schedule, Schedules, ScheduleSpec
from pipeline.target import Target
from pipeline.targets import find_schedules, find_target
from pipeline.targets.local.schedule_files import ScheduleFile, unknown_schedule_message
from pipeline.targets.local.schedules import LocalSchedules

Values = Mapping[str, Mapping[str, Any]]

_NO_TERMINAL_COLUMNS = 200


def with_defaults(values: Values, timezone: str) -> dict[str, dict[str, Any]]:
    """Returns the user's settings, and what a schedule sets unless the user did: how it looks for what is new."""
    snapshot = {"if_changed": True, "timezone": timezone, **values.get("snapshot", {})}
    return {**{section: dict(given) for section, given in values.items()}, "snapshot": snapshot}


def create(on: str, spec: ScheduleSpec, *, replace: bool = False) -> Schedule:
    """Makes a schedule.

    Args:
        on: The place that runs it.
        spec: What is asked for.
        replace: Whether one of the same name is to make room; it does when nothing is found wrong with the new one.

    Raises:
        UsageError: If something is wrong that can be known now; nothing was made or removed then.
    """
    request = spec.request
    place, target = find_schedules(on, request.configuration.targets), find_target(on, request.configuration.targets)
    place.check(spec)
    _check(spec, target)
    existing = next((schedule for schedule in place.list() if schedule.name == request.name), None)
    if existing and not replace:
        raise UsageError(
            f"there is a schedule {request.name} on {on} already ({existing.cron}, {existing.timezone}); "
            "add --replace, or delete it"
        )
    check_compiles(target.build(request.source))
    registry.live(request.registry, request.name)  # which must say what it was made from, to tell what is new
    return place.create(spec)


def find(name: str, on: str, values: Values) -> tuple[Schedules, Schedule]:
    """Returns a schedule, and the schedules of its place.

    Args:
        name: Its name.
        on: The place.
        values: The user's settings by section; that of the place counts.

    Raises:
        UsageError: If there is none of that name.
    """
    place = find_schedules(on, read_target_settings(values))
    known = {schedule.name: schedule for schedule in place.list()}
    if name not in known:
        raise UsageError(unknown_schedule_message(name, on, list(known)))
    return place, known[name]


def fire(file: ScheduleFile) -> str:
    """Runs a schedule of this machine that is due, and returns the outcome."""
    return LocalSchedules(file.on, find_target).fire(file)


def pause(place: Schedules, schedule: Schedule) -> str:
    """Keeps a schedule from running, and returns what to say of it."""
    if schedule.paused:
        return f"{schedule.name} is paused already"
    place.pause(schedule.name)
    return f"{schedule.name} is paused"


def resume(place: Schedules, schedule: Schedule) -> str:
    """Lets a schedule run again, and returns what to say of it."""
    if not schedule.paused:
        return f"{schedule.name} is not paused; next run {_shown(schedule.next_run, schedule)}"
    place.resume(schedule.name)
    now = next(each for each in place.list() if each.name == schedule.name)
    return f"{now.name} is resumed; next run {_shown(now.next_run, now)}"


def made(schedule: Schedule, values: Values) -> Iterator[str]:
    """Yields what to say of a schedule that was just made.

    Args:
        schedule: It.
        values: What the user set, by section.
    """
    when = f"{schedule.cron} {schedule.timezone}"
    yield f"{schedule.name} is scheduled on {schedule.on}, {when}; next run {_shown(schedule.next_run, schedule)}"
    given = values.get("snapshot", {})
    if "if_changed" not in given:
        yield "set for it: snapshot.if_changed=true (nothing new, nothing done)"
    if "timezone" not in given:
        yield f"set for it: snapshot.timezone={schedule.timezone} (of dates in the source)"
    if schedule.link:
        yield schedule.link


def shown(schedule: Schedule) -> Iterator[str]:
    """Yields all that is known of a schedule, a line each."""
    known = {
        **_row(schedule),
        "source": schedule.source,
        "registry": schedule.registry,
        "records": schedule.record_uri,
        "link": schedule.link,
    }
    return (f"{what:9} {value}" for what, value in known.items() if value)


def print_table(schedules: Sequence[Schedule]) -> None:
    """Prints schedules, a row each."""
    table = Table(box=None, pad_edge=False)
    rows = [_row(schedule) for schedule in schedules]
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*row.values())
    width = None if sys.stdout.isatty() else _NO_TERMINAL_COLUMNS
    Console(width=width, markup=False, highlight=False).print(table)


def _check(spec: ScheduleSpec, target: Target) -> None:
    if target.runs_detached and spec.out:
        raise UsageError(f"--out {spec.out}: runs of a schedule on {target.name} leave nothing here; leave it out")
    if not target.runs_detached and not spec.out:
        raise UsageError(f"--out is missing: the folder of the runs of a schedule on {target.name}")
    if spec.out:
        check_out(spec.out)
    with tempfile.TemporaryDirectory() as nowhere:
        target.check(replace(spec.request, later=True), spec.out or Path(nowhere))


def _row(schedule: Schedule) -> dict[str, str]:
    return {
        "name": schedule.name,
        "on": schedule.on,
        "cron": schedule.cron,
        "zone": schedule.timezone,
        "next run": _shown(schedule.next_run, schedule),
        "last run": _shown(schedule.last_run, schedule),
        "state": "paused" if schedule.paused else "active",
    }


def _shown(time: datetime | None, schedule: Schedule) -> str:
    """Returns a time as a clock of the schedule's zone shows it."""
    return f"{time.astimezone(clock.zone(schedule.timezone)):%Y-%m-%d %H:%M}" if time else "-"
