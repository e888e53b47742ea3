"""The user's crontab: lines of ours are put in and taken out again, and all else in it stays byte for byte.

    0,15,30,45 * * * * /venv/bin/petalflow schedule fire flowers >> /runs/schedule.log 2>&1 # petalflow: OWNER

The shell takes what follows the # for a comment; by it a line is found again.
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
    """Returns a line that calls a command in some minutes of every hour.

    Args:
        minutes: 0..59, in the zone of this machine.
        command: The program, by absolute path since cron knows another PATH, and its arguments.
        log: File that what it prints is added to.
        owner: File of what the line belongs to.

    Raises:
        UsageError: If something in it holds a line break.
    """
    when = "*" if len(minutes) == 60 else ",".join(str(minute) for minute in sorted(minutes))
    called = f"{shlex.join(command)} >> {shlex.quote(str(log))} 2>&1"
    text = f"{when} * * * * {_escaped(called)}{_mark(owner)}"
    if len(text.splitlines()) > 1:
        raise UsageError(f"{text!r} holds a line break, which no crontab can; choose another path")
    return text


def with_line(table: str, line: str) -> str:
    """Returns a crontab with a line more at its end."""
    gap = "\n" if table and not table.endswith("\n") else ""  # cron itself reads no last line without it
    return f"{table}{gap}{line}\n"


def without(table: str, owner: Path) -> str:
    """Returns a crontab without the lines of an owner."""
    return "".join(line for line in table.splitlines(keepends=True) if not _is_of(line, owner))


def has(table: str, owner: Path) -> bool:
    """Tells whether a crontab holds a line of an owner."""
    return any(_is_of(line, owner) for line in table.splitlines())


def sets(table: str, variable: str) -> bool:
    """Tells whether a crontab sets a variable of the environment."""
    return re.search(rf"^\s*{re.escape(variable)}\s*=", table, re.MULTILINE) is not None


def read() -> str:
    """Returns the user's crontab, "" if there is none.

    Raises:
        UsageError: If it cannot be read.
    """
    done = _crontab("-l")
    if any(sign in done.stdout for sign in _SHOWN):
        done = _crontab("-e", EDITOR="cat", VISUAL="cat")  # an editor gets the bytes as they are
    said = _said(done)
    if done.returncode and "no crontab for" not in said:
        raise UsageError(f"the crontab cannot be read: {said}")
    return done.stdout.decode(errors="surrogateescape")


def change(edit: Callable[[str], str]) -> None:
    """Replaces the user's crontab by what `edit` makes of it.

    Raises:
        UsageError: If it cannot be read or written.
    """
    with _alone():
        before = read()
        after = edit(before)
        if after == before:
            return
        done = _crontab("-", table=after) if after else _crontab("-r")
        if done.returncode:
            raise UsageError(f"the crontab cannot be written: {_said(done)}")


def a_daemon_runs() -> bool:
    """Tells whether some cron daemon seems to run; where processes cannot be looked at, it is presumed."""
    return not sys.platform.startswith("linux") or any(name in ("cron", "crond") for name in _processes())


def _mark(owner: Path) -> str:
    return _escaped(f" # petalflow: {owner}")


def _is_of(line: str, owner: Path) -> bool:
    return line.rstrip("\r\n").endswith(_mark(owner))


def _escaped(text: str) -> str:
    """Returns a text as cron takes it, for which a bare % is a line break."""
    return text.replace("%", r"\%")


def _crontab(argument: str, table: str | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["crontab", argument],
            input=None if table is None else table.encode(errors="surrogateescape"),
            stdin=subprocess.DEVNULL if table is None else None,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C", **environment},  # its words are looked at
            check=False,
        )
    except FileNotFoundError:
        raise UsageError(
            "no crontab here: install cron (Debian: apt install cron), or let something else call `petalflow run`"
        ) from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join(done.stderr.decode(errors="replace").split())


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Lets no two commands of a user read the crontab and then write over what the other wrote."""
    home = os.open(Path.home(), os.O_RDONLY)
    try:
        fcntl.flock(home, fcntl.LOCK_EX)
        yield
    finally:
        os.close(home)


def _processes() -> Iterator[str]:
    for file in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            yield file.read_text().strip()
