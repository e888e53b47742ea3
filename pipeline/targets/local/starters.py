"""What starts the schedules of this machine: cron where it is installed, otherwise the user's systemd."""

import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from petalflow.errors import UsageError
from pipeline.targets.local import crontab, systemd
from pipeline.targets.local.schedule_files import ScheduleFile


@dataclass(frozen=True)
class Call:
    """What is to be started for a schedule.

    Attributes:
        file: The schedule.
        command: The program, by absolute path, and its arguments.
        minutes: The minutes of this machine's hours in which to start it, 0..59.
    """

    file: ScheduleFile
    command: Sequence[str]
    minutes: Collection[int]


class Starter(Protocol):
    """A program of this machine that starts commands at set times."""

    def check(self, call: Call) -> None:
        """Raises UsageError if the call cannot be added."""

    def add(self, call: Call) -> None:
        """Adds a call, replacing an earlier one of the same schedule."""

    def remove(self, file: ScheduleFile) -> None:
        """Removes the call of a schedule, if there is one."""

    def find(self, files: Iterable[ScheduleFile]) -> set[str]:
        """Returns the names of the schedules that have a call."""

    def warnings(self, file: ScheduleFile, variables: Sequence[str]) -> Iterator[str]:
        """Yields reasons why a schedule may not run, or not as in this shell.

        Args:
            file: The schedule.
            variables: Environment variables of this shell that its runs may need.
        """


class Cron:
    """The user's crontab."""

    def check(self, call: Call) -> None:
        """Checks that the crontab can be read, and that our line is allowed in it."""
        crontab.read()
        self._line(call)

    def add(self, call: Call) -> None:
        """Adds our line."""
        line = self._line(call)
        crontab.change(lambda table: crontab.add_line(crontab.remove_lines(table, call.file.path), line))

    def remove(self, file: ScheduleFile) -> None:
        """Removes our line."""
        crontab.change(lambda table: crontab.remove_lines(table, file.path))

    def find(self, files: Iterable[ScheduleFile]) -> set[str]:
        """Returns the names of the schedules with a line."""
        table = crontab.read()
        return {file.name for file in files if crontab.has_line(table, file.path)}

    def warnings(self, file: ScheduleFile, variables: Sequence[str]) -> Iterator[str]:
        """Yields a warning if no daemon runs, and one about variables that the crontab does not set."""
        if not crontab.is_daemon_running():
            yield "no cron daemon seems to be running, so no run will start"
        unknown = [name for name in variables if not crontab.sets_variable(crontab.read(), name)]
        if unknown:
            yield (
                f"cron does not pass on this shell's variables; if the runs need {', '.join(unknown)}, add NAME=VALUE "
                "lines at the top of the crontab (crontab -e)"
            )

    def _line(self, call: Call) -> str:
        return crontab.line(call.minutes, call.command, call.file.log, call.file.path)


class Systemd:
    """Timers of the user's systemd."""

    def check(self, call: Call) -> None:
        """Checks that systemd runs for this user, and that the units can be written."""
        systemd.check()
        self._units(call)

    def add(self, call: Call) -> None:
        """Writes the units and starts the timer."""
        systemd.add(call.file.name, *self._units(call))

    def remove(self, file: ScheduleFile) -> None:
        """Stops the timer and removes the units."""
        systemd.remove(file.name)

    def find(self, files: Iterable[ScheduleFile]) -> set[str]:
        """Returns the names of the schedules with a timer."""
        return {file.name for file in files if systemd.has_timer(file.name)}

    def warnings(self, file: ScheduleFile, variables: Sequence[str]) -> Iterator[str]:
        """Yields a warning if timers stop when the user logs out, and one about variables."""
        if not systemd.runs_without_login():
            yield "systemd starts runs only while you are logged in; to change that: loginctl enable-linger"
        if variables:
            yield (
                f"systemd does not pass on this shell's variables; if the runs need {', '.join(variables)}, add "
                f"Environment=NAME=VALUE below [Service]: systemctl --user edit {systemd.unit(file.name)}.service"
            )

    def _units(self, call: Call) -> tuple[str, str]:
        return (
            systemd.service(call.file.name, call.command, call.file.log),
            systemd.timer(call.file.name, call.minutes),
        )


def installed() -> list[Starter]:
    """Returns what can start schedules on this machine, the preferred one first.

    Raises:
        UsageError: If nothing can.
    """
    found: list[Starter] = []
    if shutil.which("crontab"):
        found.append(Cron())
    if shutil.which("systemctl"):
        found.append(Systemd())
    if not found:
        raise UsageError(
            "the commands crontab and systemctl are missing: install cron (Debian: apt install cron), or call "
            "`petalflow run` from another scheduler"
        )
    return found
