"""Timers of the user's systemd, for machines without cron: two unit files per schedule.

~/.config/systemd/user/petalflow-<name>.service  what to run
~/.config/systemd/user/petalflow-<name>.timer    when
"""

import getpass
import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

from petalflow.errors import UsageError
from pipeline.schedule import schedule_title

# Where systemd notes whose services run without a login.
_LINGER = Path("/var/lib/systemd/linger")
_REFUSED = 3


def unit(name: str) -> str:
    """Returns the name of a schedule's units, without the ending."""
    return schedule_title(name)


def service(name: str, command: Sequence[str], log: Path) -> str:
    """Returns the unit that runs a schedule's command.

    Args:
        name: The schedule.
        command: The program and its arguments.
        log: File that the output is appended to.

    Raises:
        UsageError: If an argument contains a line break.
    """
    program = shutil.which(command[0]) or command[0]
    output = f"append:{str(log).replace('%', '%%')}"
    return _unit_text(
        "[Unit]",
        f"Description=Petalflow schedule {name}",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={' '.join(map(_quoted, (program, *command[1:])))}",
        f"StandardOutput={output}",
        f"StandardError={output}",
        f"SuccessExitStatus={_REFUSED}",
    )


def timer(name: str, minutes: Collection[int]) -> str:
    """Returns the unit that starts a schedule's service in certain minutes of every hour.

    Args:
        name: The schedule.
        minutes: 0..59, in the zone of this machine.
    """
    when = "*" if len(minutes) == 60 else ",".join(f"{minute:02}" for minute in sorted(minutes))
    return _unit_text(
        "[Unit]",
        f"Description=Petalflow schedule {name}",
        "[Timer]",
        f"OnCalendar=*-*-* *:{when}:00",
        "AccuracySec=1s",
        "[Install]",
        "WantedBy=timers.target",
    )


def check() -> None:
    """Raises UsageError if systemd does not run for this user."""
    done = _systemctl("show-environment")
    if done.returncode:
        raise UsageError(
            f"the command crontab is missing, and systemd does not run for {getpass.getuser()} ({_error(done)}): "
            "install cron (Debian: apt install cron), or call `petalflow run` from another scheduler"
        )


def add(name: str, service: str, timer: str) -> None:
    """Writes the units of a schedule and starts its timer.

    Raises:
        UsageError: If systemd rejects them; then they are removed.
    """
    _folder().mkdir(parents=True, exist_ok=True)
    _path(name, "service").write_text(service)
    _path(name, "timer").write_text(timer)
    # Restarted, since a timer that runs keeps the times of its former file.
    for arguments in (("daemon-reload",), ("enable", f"{unit(name)}.timer"), ("restart", f"{unit(name)}.timer")):
        done = _systemctl(*arguments)
        if done.returncode:
            remove(name)
            raise UsageError(f"systemd rejects the timer: {_error(done)}")


def remove(name: str) -> None:
    """Stops the timer of a schedule and removes its units; a run that it started continues."""
    if has_timer(name):
        _systemctl("disable", "--now", f"{unit(name)}.timer")
        for kind in ("timer", "service"):
            _path(name, kind).unlink(missing_ok=True)
        _systemctl("daemon-reload")


def has_timer(name: str) -> bool:
    """Returns True if a schedule has a timer."""
    return _path(name, "timer").exists()


def runs_without_login() -> bool:
    """Returns True if the user's timers also run while the user is not logged in."""
    return (_LINGER / getpass.getuser()).exists()


def _folder() -> Path:
    # Not $XDG_CONFIG_HOME: systemd was started before this shell set it.
    return Path.home() / ".config" / "systemd" / "user"


def _path(name: str, kind: str) -> Path:
    return _folder() / f"{unit(name)}.{kind}"


def _unit_text(*lines: str) -> str:
    for line in lines:
        if len(line.splitlines()) > 1:
            raise UsageError(f"{line!r} contains a line break, which systemd does not allow; choose another path")
    return "".join(f"{line}\n" for line in lines)


def _quoted(word: str) -> str:
    """Returns a word of a command line in which systemd replaces nothing."""
    for special, escaped in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(special, escaped)
    return f'"{word}"'


def _systemctl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["systemctl", "--user", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )


def _error(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join(done.stderr.decode(errors="replace").split())
