"""The schedules of this machine, one file each, with all that a run needs; quick to import.

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

# The folder for configuration files.
CONFIG_HOME = "XDG_CONFIG_HOME"
# cron calls us at least every quarter of an hour.
_LATE = timedelta(minutes=15)


@dataclass(frozen=True)
class ScheduleFile:
    """A schedule of this machine.

    Attributes:
        name: The schedule's name, and that of the model to release.
        on: local or docker.
        source: Where the images are.
        registry: The model registry.
        state_uri: State that outlives a run.
        record_uri: Records of its runs.
        out: Folder of its runs.
        folder: The working directory of the user, to which paths in the settings are relative.
        settings: The user's settings, by section.
        cron: Cron expression of five fields.
        timezone: The time zone of the expression.
        paused: True if it starts no runs until it is resumed.
        active_since: When it was created or last resumed, ISO 8601; earlier runs are not made up for.
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
        """The schedule's file."""
        return _path(self.name)

    @property
    def log(self) -> Path:
        """The file for the output of runs that cron starts."""
        return Path(self.out) / "schedule.log"

    def when(self) -> Cron:
        """Returns when the schedule is due."""
        return Cron(self.cron, self.timezone)

    @property
    def last_fired(self) -> datetime | None:
        """The time of the last run, or None."""
        try:
            return datetime.fromisoformat(self._fired.read_text())
        except FileNotFoundError:
            return None

    def is_due(self, time: datetime) -> bool:
        """Returns True if a run should start at a time: it is due, or was due shortly before and has not run since.

        A busy machine may start us late; runs missed by more than a quarter of an hour are not made up for.
        """
        due, fired = self.when().last_until(time), self.last_fired
        is_new = due > datetime.fromisoformat(self.active_since) and not (fired and due <= fired)
        return not self.paused and is_new and time - due < _LATE

    def note_fired(self, time: str) -> None:
        """Records the time of the last run, in a separate file since this one may be changed or removed meanwhile."""
        if self.path.exists():
            self._fired.write_text(time)

    def remove(self) -> None:
        """Removes the schedule's files."""
        self.path.unlink(missing_ok=True)
        self._fired.unlink(missing_ok=True)

    @property
    def _fired(self) -> Path:
        return self.path.with_suffix(".fired")

    def write(self) -> None:
        """Writes the whole file, readable only by the user, since settings may be confidential."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, prefix=".", delete=False) as aside:  # mode 0600
            aside.write(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")
        os.replace(aside.name, self.path)


def read(name: str) -> ScheduleFile:
    """Returns a schedule.

    Raises:
        UsageError: If no schedule has this name, or its file is damaged.
    """
    path = _path(name)
    try:
        return ScheduleFile(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UsageError(unknown_schedule_message(name, "this machine", names())) from None
    except (ValueError, TypeError):
        raise UsageError(f"{path} is not a valid schedule file; remove it, and create the schedule again") from None


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
