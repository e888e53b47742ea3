"""The user's crontab: adds and removes our lines, and leaves everything else unchanged, byte for byte.

    0,15,30,45 * * * * /venv/bin/petalflow schedule fire flowers >> /runs/schedule.log 2>&1 # petalflow: OWNER

The part after # is a comment for the shell, and identifies our line.

Not python-crontab: it parses and rewrites all lines as text, so lines of other programs might change.
"""

import contextlib
import fcntl
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from petalflow.errors import UsageError

# How Debian's `crontab -l` shows a carriage return and a backspace.
_SHOWN = (rb"\r", rb"\b")


def line(minutes: Collection[int], command: Sequence[str], log: Path, owner: Path) -> str:
    """Returns a line that runs a command in certain minutes of every hour.

    Args:
        minutes: 0..59, in the zone of this machine.
        command: The program, by absolute path since cron has a different PATH, and its arguments.
        log: File that the output is appended to.
        owner: The schedule file that the line belongs to.

    Raises:
        UsageError: If an argument contains a line break.
    """
    when = "*" if len(minutes) == 60 else ",".join(str(minute) for minute in sorted(minutes))
    called = f"{shlex.join(command)} >> {shlex.quote(str(log))} 2>&1"
    text = f"{when} * * * * {_escaped(called)}{_mark(owner)}"
    if len(text.splitlines()) > 1:
        raise UsageError(f"{text!r} contains a line break, which a crontab does not allow; choose another path")
    return text


def add_line(table: str, line: str) -> str:
    """Returns a crontab with a line appended."""
    gap = "\n" if table and not table.endswith("\n") else ""  # cron ignores a last line without one
    return f"{table}{gap}{line}\n"


def remove_lines(table: str, owner: Path) -> str:
    """Returns a crontab without an owner's lines."""
    return "".join(line for line in table.splitlines(keepends=True) if not _belongs_to(line, owner))


def has_line(table: str, owner: Path) -> bool:
    """Returns True if a crontab contains a line of an owner."""
    return any(_belongs_to(line, owner) for line in table.splitlines())


def sets_variable(table: str, variable: str) -> bool:
    """Returns True if a crontab sets an environment variable."""
    return re.search(rf"^\s*{re.escape(variable)}\s*=", table, re.MULTILINE) is not None


def read() -> str:
    """Returns the user's crontab, or "" if there is none.

    Raises:
        UsageError: If it cannot be read.
    """
    done = _crontab("-l")
    if any(sign in done.stdout for sign in _SHOWN):
        done = _crontab("-e", EDITOR="cat", VISUAL="cat")  # an editor gets the bytes as they are
    message = _error_output(done)
    if done.returncode and "no crontab for" not in message:
        raise UsageError(f"the crontab cannot be read: {message}")
    return done.stdout.decode(errors="surrogateescape")


def change(edit: Callable[[str], str]) -> None:
    """Replaces the user's crontab by the result of `edit`.

    Raises:
        UsageError: If it cannot be read or written.
    """
    with _locked():
        before = read()
        after = edit(before)
        if after == before:
            return
        done = _crontab("-", table=after) if after else _crontab("-r")
        if done.returncode:
            raise UsageError(f"the crontab cannot be written: {_error_output(done)}")


def is_daemon_running() -> bool:
    """Returns True if a cron daemon seems to run, or if processes cannot be listed."""
    return not sys.platform.startswith("linux") or any(name in ("cron", "crond") for name in _processes())


def _mark(owner: Path) -> str:
    return _escaped(f" # petalflow: {owner}")


def _belongs_to(line: str, owner: Path) -> bool:
    return line.rstrip("\r\n").endswith(_mark(owner))


def _escaped(text: str) -> str:
    """Returns a text escaped for cron, in which a bare % is a line break."""
    return text.replace("%", r"\%")


def _crontab(argument: str, table: str | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["crontab", argument],
        input=None if table is None else table.encode(errors="surrogateescape"),
        stdin=subprocess.DEVNULL if table is None else None,
        capture_output=True,
        env={**os.environ, "LC_ALL": "C", **environment},  # its messages are parsed
        check=False,
    )


def _error_output(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join(done.stderr.decode(errors="replace").split())


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Locks the crontab, so that two commands of a user do not overwrite each other's changes."""
    # Not filelock, which would leave a file in the home folder: flock also locks a folder.
    home = os.open(Path.home(), os.O_RDONLY)
    try:
        fcntl.flock(home, fcntl.LOCK_EX)
        yield
    finally:
        os.close(home)


def _processes() -> Iterator[str]:
    for file in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # the process has ended
            yield file.read_text().strip()
