"""What the schedules of all places have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from petalflow.cron import Cron
from pipeline.request import Request


@dataclass(frozen=True)
class ScheduleSpec:
    """A schedule that is asked for.

    Attributes:
        request: What to run each time; its name is the schedule's.
        cron: When.
        out: Folder of the runs, where they are followed from this machine; None elsewhere.
        settings: What the user gave, by section, unvalidated: a run that is started from here takes them again.
    """

    request: Request
    cron: Cron
    out: Path | None
    settings: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Schedule:
    """A schedule that is there.

    Attributes:
        name: Its own, which is what it releases under.
        on: The place that runs it.
        cron: Five fields.
        timezone: The zone they are meant in.
        paused: Whether it does nothing until it is resumed.
        next_run: When it is due next, if the place says so and it is not paused.
        last_run: When it ran last, if the place says so.
        source: Where the images are.
        registry: Where releases go.
        record_uri: Where the records of its runs are.
        link: Where a person can look at it, or "".
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


class Schedules(Protocol):
    """The schedules of one place; names were looked up before, except by `create`."""

    def check(self, spec: ScheduleSpec) -> None:
        """Raises UsageError for what this place cannot do, before anything is made or replaced."""

    def create(self, spec: ScheduleSpec) -> Schedule:
        """Makes a schedule; one of the same name is removed when that has succeeded."""

    def list(self) -> list[Schedule]:
        """Returns all that are ours, sorted by name."""

    def pause(self, name: str) -> None:
        """Keeps a schedule from running until it is resumed."""

    def resume(self, name: str) -> None:
        """Lets a schedule run again; what it missed meanwhile is not made up for."""

    def delete(self, name: str) -> None:
        """Removes a schedule; a run of it that is going on is not touched."""

    def run_now(self, name: str) -> str:
        """Runs it once, now, and returns the outcome; "submitted" where the run goes on without us."""


def schedule_title(name: str) -> str:
    """Returns what a schedule is called where those of others are listed beside it."""
    return f"petalflow-{name}"


def schedule_trigger(name: str) -> str:
    """Returns what the records of a schedule's runs say started them."""
    return f"schedule {name}"
