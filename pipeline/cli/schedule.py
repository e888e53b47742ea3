"""The `petalflow schedule` commands: read arguments, call the code that does the work, print schedules."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from petalflow import clock, commandline
from pipeline.cli.completion import complete_schedule
from pipeline.cli.options import On, Record, Registry, Set, State

if TYPE_CHECKING:
    from pipeline.schedule import Schedule, Schedules

app = commandline.new_app("Run the pipeline on a schedule: by this machine's crontab, or by the cluster itself.")
Name = Annotated[
    str | None,
    typer.Argument(
        help="Name of the schedule; default: that of petalflow.yaml.",
        show_default=False,
        autocompletion=complete_schedule,
    ),
]
Where = Annotated[
    On | None, typer.Option(help="Target that runs the schedule; default: that of petalflow.yaml, or local.")
]

_NO_TERMINAL_COLUMNS = 200
_SHOWN_RUNS = 3


@app.command()
def create(
    source: Annotated[
        str | None, typer.Argument(help="Folder or URI of the labelled images; default: that of petalflow.yaml.")
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help="Minute, hour, day of the month, month, day of the week: '0 3 * * 1'.")
    ] = None,
    registry: Registry = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the schedule, and of the model; default: the name of the source's folder."),
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="Time zone of --cron, like Europe/Berlin; default: UTC.")] = None,
    on: Where = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the runs; default: runs/NAME; only for local and docker.")
    ] = None,
    config: commandline.Config = None,
    set: Set = None,
    state: State = None,
    record: Record = None,
    replace_existing: Annotated[
        bool, typer.Option("--replace", help="Replace the schedule if one of this name exists.")
    ] = False,
    debug: commandline.Debug = False,
) -> None:
    """Create a schedule, after checking everything that can be checked now.

    Unless you set them, snapshot.if_changed becomes true and snapshot.timezone becomes the value of --timezone.
    """
    from petalflow.cron import Cron
    from petalflow.errors import UsageError
    from pipeline import scheduling
    from pipeline.project import find_project
    from pipeline.schedule import ScheduleSpec

    project = find_project(config, set)
    cron, timezone = cron or project.schedule.cron, timezone or project.schedule.timezone
    if cron is None:
        raise UsageError("--cron is missing: when to run, for example --cron '0 3 * * 1' for Mondays at 3:00")
    with commandline.option("--timezone"):
        clock.zone(timezone)
    with commandline.option("--cron"):
        when = Cron.of(cron, timezone)
    settings = scheduling.with_defaults(project.values, timezone)
    request = replace(project, values=settings).request(source, registry, name, state, record)
    target = on or On(project.about.target)
    folder = project.out(out, request.name) if out or target in (On.LOCAL, On.DOCKER) else None
    spec = ScheduleSpec(request, when, folder, settings)
    created = scheduling.create(target, spec, replace=replace_existing)
    for line in (*describe_created(created, project.values, config), scheduling.promise(request)):
        if line:
            print(line)


@app.command("list")
def list_(
    on: Where = None,
    config: commandline.Config = None,
    set: Set = None,
    debug: commandline.Debug = False,
) -> None:
    """List the schedules of a target; local and docker share those of this machine."""
    from pipeline.configuration import read_target_settings
    from pipeline.project import find_project
    from pipeline.targets import find_schedules

    project = find_project(config, set)
    target = on or project.about.target
    found = find_schedules(target, read_target_settings(project.values)).list()
    if found:
        print_table(found)
    else:
        print(f"no schedules on {target}")


@app.command()
def show(
    name: Name = None,
    on: Where = None,
    config: commandline.Config = None,
    set: Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Print the details of a schedule."""
    _, schedule = _find(name, on, config, set)
    for line in describe(schedule):
        print(line)


@app.command()
def pause(
    name: Name = None,
    on: Where = None,
    config: commandline.Config = None,
    set: Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Pause a schedule."""
    schedules, schedule = _find(name, on, config, set)
    if schedule.paused:
        print(f"{schedule.name} is already paused")
    else:
        schedules.pause(schedule.name)
        print(f"{schedule.name} is paused")


@app.command()
def resume(
    name: Name = None,
    on: Where = None,
    config: commandline.Config = None,
    set: Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Resume a paused schedule; missed runs are not made up for."""
    from pipeline import scheduling

    schedules, schedule = _find(name, on, config, set)
    if schedule.paused:
        schedule = scheduling.resume(schedules, schedule)
        print(f"{schedule.name} is resumed; next run {_local_time(schedule.next_run, schedule)}")
    else:
        print(f"{schedule.name} is not paused; next run {_local_time(schedule.next_run, schedule)}")


@app.command()
def delete(
    name: Name = None,
    on: Where = None,
    config: commandline.Config = None,
    set: Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Delete a schedule; its releases and records are kept, and a run in progress continues.

    On kubeflow, a schedule whose run is unfinished is paused instead (exit code 2): delete it when the run has ended.
    """
    schedules, schedule = _find(name, on, config, set)
    schedules.delete(schedule.name)
    print(f"{schedule.name} is deleted; its releases and records are kept")


@app.command("run-now")
def run_now(
    name: Name = None,
    on: Where = None,
    config: commandline.Config = None,
    set: Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Run a schedule now, even if it is paused; exit codes as for `petalflow run`, or 0 if it is only submitted."""
    from pipeline import running

    schedules, schedule = _find(name, on, config, set)
    raise typer.Exit(running.EXIT_CODES[schedules.run_now(schedule.name)])


@app.command(hidden=True)
def fire(name: Annotated[str, typer.Argument(help="Name of the schedule.")], debug: commandline.Debug = False) -> None:
    """Run a schedule of this machine if it is due this minute; called by the crontab."""
    from pipeline.targets.local import schedule_files

    file = schedule_files.read(name)
    if not file.is_due(clock.now()):
        return  # as in most calls, and nothing slow has been imported yet
    from pipeline import running, scheduling

    raise typer.Exit(running.EXIT_CODES[scheduling.fire(file)])


def _find(name: str | None, on: On | None, config: Path | None, set: list[str] | None) -> "tuple[Schedules, Schedule]":
    """Returns a schedule, and all schedules of its target; what is not given comes from petalflow.yaml."""
    from petalflow.errors import UsageError
    from pipeline import scheduling
    from pipeline.project import find_project

    project = find_project(config, set)
    if not (name or project.about.name):
        raise UsageError("which schedule? give its name; `petalflow schedule list` shows them")
    return scheduling.find(name or str(project.about.name), on or project.about.target, project.values)


def describe_created(
    schedule: "Schedule", values: Mapping[str, Mapping[str, Any]], config: Path | None = None
) -> Iterator[str]:
    """Yields the lines to print about a schedule that was just created.

    Args:
        schedule: The schedule.
        values: The user's settings, by section.
        config: The file that they come from, or None.
    """
    from petalflow.cron import Cron
    from pipeline.request import find_home

    when = Cron(schedule.cron, schedule.timezone)
    runs = ", ".join(_local_time(time, schedule) for time in when.next_times(clock.now(), _SHOWN_RUNS))
    yield f"{schedule.name} is scheduled on {schedule.on}, {schedule.cron} {schedule.timezone}; next runs {runs}"
    given = values.get("snapshot", {})
    if "if_changed" not in given:
        yield "set by default: snapshot.if_changed=true (no run if the source has not changed)"
    if "timezone" not in given:
        yield f"set by default: snapshot.timezone={schedule.timezone} (for dates in the source)"
    here = schedule.on in (On.LOCAL, On.DOCKER)
    target = "" if here else f" --on {schedule.on}"
    file = f" --config {shlex.quote(str(config.absolute()))}" if config and not here else ""
    yield f"run it now: petalflow schedule run-now {schedule.name}{target}{file}"
    where = ["--registry", schedule.registry, "--name", schedule.name]
    if schedule.record_uri != find_home(schedule.registry, schedule.name).record_uri:
        where += ["--record", schedule.record_uri]
    yield f"see its runs: petalflow runs {shlex.join(where)}"
    if schedule.link:
        yield f"log: {schedule.link}" if here else schedule.link


def describe(schedule: "Schedule") -> Iterator[str]:
    """Yields the details of a schedule, one line each."""
    known = {
        **_row(schedule),
        "source": schedule.source,
        "registry": schedule.registry,
        "records": schedule.record_uri,
        "link": schedule.link,
        "response": schedule.response,
    }
    return (f"{label:9} {value}" for label, value in known.items() if value)


def print_table(schedules: Sequence["Schedule"]) -> None:
    """Prints schedules, one per row."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    rows = [_row(schedule) for schedule in schedules]
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*row.values())
    width = None if sys.stdout.isatty() else _NO_TERMINAL_COLUMNS
    Console(width=width, markup=False, highlight=False).print(table)


def _row(schedule: "Schedule") -> dict[str, str]:
    return {
        "name": schedule.name,
        "on": schedule.on,
        "cron": schedule.cron,
        "zone": schedule.timezone,
        "next run": _local_time(schedule.next_run, schedule),
        "last run": _local_time(schedule.last_run, schedule),
        "state": "paused" if schedule.paused else "active",
    }


def _local_time(time: datetime | None, schedule: "Schedule") -> str:
    """Returns a time as shown by a clock in the schedule's time zone; "-" for None."""
    return f"{time.astimezone(clock.zone(schedule.timezone)):%Y-%m-%d %H:%M}" if time else "-"
