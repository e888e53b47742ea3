"""`petalflow schedule`: it reads arguments and calls; it decides nothing."""

from pathlib import Path
from typing import Annotated

import typer

from petalflow import clock, commandline
from pipeline.cli.options import On, Record, State

app = commandline.new_app("Run the pipeline again and again: on this machine by its crontab, elsewhere by the place.")
Name = Annotated[str, typer.Argument(help="Of the schedule, which is what it releases under.")]
Where = Annotated[On, typer.Option(help="The place that runs it.")]


@app.command()
def create(
    source: Annotated[str, typer.Argument(help="Folder or URI of the labelled images.")],
    cron: Annotated[str, typer.Option(help="Minute, hour, day of the month, month, day of the week: '0 3 * * 1'.")],
    registry: Annotated[str, typer.Option(help="Folder or URI that releases go to.")],
    name: Annotated[str, typer.Option(help="Name to release under, and of the schedule.")],
    timezone: Annotated[str, typer.Option(help="Zone of --cron, like Europe/Berlin.")] = "UTC",
    on: Where = On.LOCAL,
    out: Annotated[Path | None, typer.Option(help="Folder of the runs; on local and docker only.")] = None,
    config: commandline.Config = None,
    set: commandline.Set = None,
    state: State = None,
    record: Record = None,
    replace: Annotated[bool, typer.Option("--replace", help="In place of one of the same name.")] = False,
    debug: commandline.Debug = False,
) -> None:
    """Make a schedule, after checking all that can be.

    It sets snapshot.if_changed to true and snapshot.timezone to --timezone unless you set them.
    """
    from petalflow.cron import Cron
    from pipeline import scheduling
    from pipeline.configuration import Configuration
    from pipeline.request import Request
    from pipeline.schedule import ScheduleSpec

    values = commandline.read_settings(None, config, set)
    when = Cron.of(cron, timezone)
    settings = scheduling.with_defaults(values, timezone)
    request = Request.of(source, registry, name, Configuration.of(settings), state, record)
    spec = ScheduleSpec(request, when, out.absolute() if out else None, settings)
    for line in scheduling.made(scheduling.create(on, spec, replace=replace), values):
        print(line)


@app.command("list")
def list_(
    on: Where = On.LOCAL,
    config: commandline.Config = None,
    set: commandline.Set = None,
    debug: commandline.Debug = False,
) -> None:
    """List the schedules of a place; those of local and docker are of one place, this machine."""
    from pipeline import scheduling
    from pipeline.configuration import read_target_settings
    from pipeline.targets import find_schedules

    found = find_schedules(on, read_target_settings(commandline.read_settings(None, config, set))).list()
    if found:
        scheduling.print_table(found)
    else:
        print(f"no schedules on {on}")


@app.command()
def show(
    name: Name,
    on: Where = On.LOCAL,
    config: commandline.Config = None,
    set: commandline.Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Say all that is known of a schedule."""
    from pipeline import scheduling

    _, schedule = scheduling.find(name, on, commandline.read_settings(None, config, set))
    for line in scheduling.shown(schedule):
        print(line)


@app.command()
def pause(
    name: Name,
    on: Where = On.LOCAL,
    config: commandline.Config = None,
    set: commandline.Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Keep a schedule from running until it is resumed."""
    from pipeline import scheduling

    print(scheduling.pause(*scheduling.find(name, on, commandline.read_settings(None, config, set))))


@app.command()
def resume(
    name: Name,
    on: Where = On.LOCAL,
    config: commandline.Config = None,
    set: commandline.Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Let a schedule run again; what was due meanwhile is not made up for."""
    from pipeline import scheduling

    print(scheduling.resume(*scheduling.find(name, on, commandline.read_settings(None, config, set))))


@app.command()
def delete(
    name: Name,
    on: Where = On.LOCAL,
    config: commandline.Config = None,
    set: commandline.Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Remove a schedule; its releases and records stay, and so does a run that is going on."""
    from pipeline import scheduling

    place, schedule = scheduling.find(name, on, commandline.read_settings(None, config, set))
    place.delete(schedule.name)
    print(f"{schedule.name} is deleted; its releases and records stay")


@app.command("run-now")
def run_now(
    name: Name,
    on: Where = On.LOCAL,
    config: commandline.Config = None,
    set: commandline.Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Run a schedule once, now, paused or not; exit codes are those of `petalflow run`, 0 where it is submitted."""
    from pipeline import running, scheduling

    place, schedule = scheduling.find(name, on, commandline.read_settings(None, config, set))
    raise typer.Exit(running.EXIT_CODES[place.run_now(schedule.name)])


@app.command(hidden=True)
def fire(name: Name, debug: commandline.Debug = False) -> None:
    """Run a schedule of this machine if it is due this minute; the crontab calls it."""
    from pipeline.targets.local import schedule_files

    file = schedule_files.read(name)
    if not file.is_due(clock.now()):
        return  # and so it is most of the times, before anything heavy was imported
    from pipeline import running, scheduling

    raise typer.Exit(running.EXIT_CODES[scheduling.fire(file)])
