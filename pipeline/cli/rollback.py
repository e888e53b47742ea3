"""What follows a rollback, for the person who made it: what was withdrawn, and what runs and schedules do next."""

from collections.abc import Iterator

from petalflow import clock
from petalflow.run.rollback import Withdrawal, find_withdrawal
from pipeline.request import Home
from pipeline.targets.local import schedule_files
from pipeline.targets.local.schedule_files import ScheduleFile


def describe_next(home: Home) -> Iterator[str]:
    """Yields lines about what follows a rollback that was just made: what runs by hand and on a schedule do.

    Args:
        home: Where everything about the model is stored.
    """
    found = find_withdrawal(home.registry, home.name, home.record_uri)
    if not found or not found.releases:
        return
    versions = _listed(found)
    yield f"withdrawn: {versions}"
    yield (
        f"scheduled runs do nothing while source, settings and code are those of {versions} "
        f"(snapshot.if_changed=true); without that setting, as by hand, a run can release {versions} again"
    )
    for file in _schedules(home):
        yield _describe(file, versions)


def _listed(found: Withdrawal) -> str:
    numbers = [str(release.version) for release in reversed(found.releases)]
    return f"version{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _schedules(home: Home) -> Iterator[ScheduleFile]:
    """Yields the schedule of this machine that releases to the same place, if there is one."""
    if home.name in schedule_files.names():
        file = schedule_files.read(home.name)
        if file.registry == home.registry:
            yield file


def _describe(file: ScheduleFile, versions: str) -> str:
    if file.paused:
        return f"schedule {file.name} is paused"
    time = file.when().next_after(clock.now())
    due = f"schedule {file.name} runs next on {time:%Y-%m-%d at %H:%M} ({file.timezone})"
    if file.settings.get("snapshot", {}).get("if_changed"):
        return f"{due}; new photos are trained on, and the model is compared with the live release"
    return (
        f"{due} and can release {versions} again, because its snapshot.if_changed is false; to prevent that: "
        f"petalflow schedule pause {file.name}"
    )
