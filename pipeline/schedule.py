"""What the schedules of all targets have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from petalflow.cron import Cron
from pipeline.request import Request


@dataclass(frozen=True)
class ScheduleSpec:
    """A schedule to create.

    Attributes:
        request: What to run each time; the schedule has its name.
        cron: When to run it.
        out: Folder of the runs, for targets whose runs are followed from this machine; else None.
        settings: The user's settings by section, not validated, for runs that are started from this machine.
    """

    request: Request
    cron: Cron
    out: Path | None
    settings: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Schedule:
    """An existing schedule.

    Attributes:
        name: The schedule's name, which is also the name of the model that it releases.
        on: The target that runs it.
        cron: Cron expression of five fields.
        timezone: The time zone of the expression.
        paused: True if it starts no runs until it is resumed.
        next_run: When it is due next; None if the target does not report it, or it is paused.
        last_run: When it ran last; None if the target does not report it.
        source: Where the images are.
        registry: The model registry.
        record_uri: Where its runs are recorded.
        link: Where a person can look at it, or "".
        response: What the target answered when it started the last run: its name, or why it could not be started; "" if
            the target does not report it.
    """

    name: str
    on: str
    cron: str
    timezone: str
    paused: bool
    next_run: datetime | None
    last_run: datetime | None
    source: str
    registry: str
    record_uri: str
    link: str = ""
    response: str = ""


class Schedules(Protocol):
    """The schedules of one target. Except for `create`, callers check first that the name exists."""

    def check(self, spec: ScheduleSpec) -> None:
        """Raises UsageError if this target cannot run the schedule, before anything is created or replaced."""

    def create(self, spec: ScheduleSpec) -> Schedule:
        """Creates a schedule, then removes another of the same name if there is one."""

    def list(self) -> list[Schedule]:
        """Returns all schedules that Petalflow created, sorted by name."""

    def pause(self, name: str) -> None:
        """Pauses a schedule."""

    def resume(self, name: str) -> None:
        """Resumes a schedule; runs missed in the meantime are not made up for."""

    def delete(self, name: str) -> None:
        """Deletes a schedule; a run that it started continues.

        Raises:
            UsageError: If the target would delete an unfinished run with it; the schedule is paused then.
        """

    def run_now(self, name: str) -> str:
        """Runs a schedule once, now, and returns the outcome; "submitted" if the run continues without us."""


def schedule_title(name: str) -> str:
    """Returns the name of a schedule where it is listed among those of others."""
    return f"petalflow-{name}"


def schedule_trigger(name: str) -> str:
    """Returns the trigger that is recorded for a schedule's runs."""
    return f"schedule {name}"
