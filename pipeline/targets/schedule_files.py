"""The schedules of this machine, a file each: all that a run needs, and when; light to import.

$XDG_CONFIG_HOME/petalflow/schedules/<name>.json
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from petalflow.cron import Cron
from petalflow.errors import UsageError, did_you_mean

# Where the user keeps what programs are to remember.
CONFIG_HOME = "XDG_CONFIG_HOME"


@dataclass(frozen=True)
class ScheduleFile:
    """A schedule of this machine.

    Attributes:
        name: Its own, and what it releases under.
        on: local or docker.
        source: Where the images are.
        registry: Where releases go.
        state_uri: What must survive a run.
        record_uri: Where the records of its runs are.
        out: Folder of its runs.
        folder: Where the user stood; relative paths in the settings are meant from there.
        settings: What the user gave, by section.
        cron: Five fields.
        timezone: The zone they are meant in.
        paused: Whether it does nothing until it is resumed.
        created_at: ISO 8601.
        last_fired: When it ran last, ISO 8601, or None.
    """

    name: str
    on: str
    source: str
    registry: str
    state_uri: str
    record_uri: str
    out: str
    folder: str
    settings: Mapping[str, Mapping[str, Any]]
    cron: str
    timezone: str
    created_at: str
    paused: bool = False
    last_fired: str | None = None

    @property
    def path(self) -> Path:
        """Its file."""
        return _path(self.name)

    @property
    def log(self) -> Path:
        """What its runs print when cron calls them."""
        return Path(self.out) / "schedule.log"

    def when(self) -> Cron:
        """Returns when it is due."""
        return Cron(self.cron, self.timezone)

    def is_due(self, time: datetime) -> bool:
        """Tells whether it is to run in the minute of `time`."""
        return not self.paused and self.when().is_due(time)

    def write(self) -> None:
        """Writes the file whole, for the user's eyes only: settings may name what is nobody else's business."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, prefix=".", delete=False) as aside:  # mode 0600
            aside.write(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")
        os.replace(aside.name, self.path)


def read(name: str) -> ScheduleFile:
    """Returns a schedule.

    Raises:
        UsageError: If there is none of that name, or its file is damaged.
    """
    path = _path(name)
    try:
        return ScheduleFile(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UsageError(no_schedule(name, "this machine", names())) from None
    except (ValueError, TypeError):
        raise UsageError(f"{path} is no schedule's file; remove it, and create the schedule anew") from None


def names() -> list[str]:
    """Returns the names of all schedules of this machine, sorted."""
    return sorted(path.stem for path in _folder().glob("*.json"))


def no_schedule(name: str, where: str, known: list[str]) -> str:
    """Returns the line for a name that is not there."""
    remedy = did_you_mean(name, known) if known else "there is none; petalflow schedule create makes one"
    return f"no schedule {name} on {where}: {remedy}"


def _path(name: str) -> Path:
    return _folder() / f"{name}.json"


def _folder() -> Path:
    home = os.environ.get(CONFIG_HOME) or "~/.config"
    return Path(home).expanduser().absolute() / "petalflow" / "schedules"
