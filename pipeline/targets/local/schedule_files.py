"""The schedules of this machine, a file each: all that a run needs, and when; light to import.

$XDG_CONFIG_HOME/petalflow/schedules/<name>.json
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from petalflow.cron import Cron
from petalflow.errors import UsageError, did_you_mean

# Where the user keeps what programs are to remember.
CONFIG_HOME = "XDG_CONFIG_HOME"
# cron calls us every quarter of an hour at least.
_LATE = timedelta(minutes=15)


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
        active_since: When it was made, or resumed last, ISO 8601; what was due until then is over.
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
    active_since: str
    paused: bool = False

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

    @property
    def last_fired(self) -> datetime | None:
        """When it ran last."""
        try:
            return datetime.fromisoformat(self._fired.read_text())
        except FileNotFoundError:
            return None

    def is_due(self, time: datetime) -> bool:
        """Tells whether it is to run at a time: it is due, or was a moment ago and has not run since.

        A machine may be too busy to start us in the very minute; but what was missed for longer is not made up for.
        """
        due, fired = self.when().last_until(time), self.last_fired
        is_new = due > datetime.fromisoformat(self.active_since) and not (fired and due <= fired)
        return not self.paused and is_new and time - due < _LATE

    def note_fired(self, time: str) -> None:
        """Notes when it ran last, in a file of its own: this one may be changed or removed meanwhile."""
        if self.path.exists():
            self._fired.write_text(time)

    def remove(self) -> None:
        """Removes it."""
        self.path.unlink(missing_ok=True)
        self._fired.unlink(missing_ok=True)

    @property
    def _fired(self) -> Path:
        return self.path.with_suffix(".fired")

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
        raise UsageError(unknown_schedule_message(name, "this machine", names())) from None
    except (ValueError, TypeError):
        raise UsageError(f"{path} is no schedule's file; remove it, and create the schedule anew") from None


def names() -> list[str]:
    """Returns the names of all schedules of this machine, sorted."""
    return sorted(path.stem for path in _folder().glob("*.json"))


def unknown_schedule_message(name: str, where: str, known: list[str]) -> str:
    """Returns the message for a name that no schedule has."""
    remedy = did_you_mean(name, known) if known else "create it with petalflow schedule create"
    return f"no schedule on {where} is named {name}: {remedy}"


def _path(name: str) -> Path:
    return _folder() / f"{name}.json"


def _folder() -> Path:
    home = os.environ.get(CONFIG_HOME) or "~/.config"
    return Path(home).expanduser().absolute() / "petalflow" / "schedules"
