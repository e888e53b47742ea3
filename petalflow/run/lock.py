"""One run of a name at a time: a lock with a lease, on any storage that can create a file once.

    <state_uri>/lock/000007.json

The file with the highest number tells who has the lock, or that nobody has. Taking it is creating the next
number, which of several exactly one succeeds in; nobody ever writes over another's file, so no store needs to
compare and swap. Whoever let the lease run out, and was taken for dead, finds a higher number than its own, and
must not release (a fencing token, as Kleppmann calls it in "How to do distributed locking", 2016). Leases go by the
machine's own clock, never by one that is given to rehearse.
"""

import contextlib
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta

from petalflow import storage
from petalflow.errors import PetalflowError

log = logging.getLogger(__name__)

# A local run's own process, which its steps are told of; it is gone when the run was killed.
RUNNER_PID = "PETALFLOW_RUNNER_PID"
_BEAT_S = 60.0


@dataclass(frozen=True)
class Holder:
    """Who has the lock, or had it last.

    Attributes:
        number: Of the file.
        run_id: The run.
        until: When the lease ends, ISO 8601.
        lease_s: How long it is each time.
        host: The machine that took it.
        pid: The process of the run there; 0 where a run is no process of that machine.
        free: Whether it was given back.
    """

    number: int
    run_id: str
    until: str
    lease_s: float
    host: str = ""
    pid: int = 0
    free: bool = False

    def has_it(self) -> bool:
        """Tells whether the lock is still theirs: not given back, the lease not over, the process not gone."""
        return not self.free and datetime.fromisoformat(self.until) > datetime.now(UTC) and not self._is_gone()

    def _is_gone(self) -> bool:
        if not self.pid or self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False  # it is there, and another user's
        return False


def holder(state_uri: str) -> Holder | None:
    """Returns who has the lock, or had it last; None if it was never taken."""
    while True:
        files = storage.list_files(_folder(state_uri), deep=False)
        names = [file.name for file in files if re.fullmatch(r"[0-9]{6}\.json", file.name)]
        if not names:
            return None
        with contextlib.suppress(FileNotFoundError):  # who took it meanwhile has cleared it away
            return _read(storage.join(_folder(state_uri), max(names)))


def _read(address: str) -> Holder:
    """Returns what a file says; one that is damaged says that nobody has the lock, since then nobody may release."""
    try:
        values = storage.read_json(address)
        return Holder(**{field.name: values[field.name] for field in fields(Holder) if field.name in values})
    except (ValueError, TypeError):
        log.warning("%s is damaged, and taken for free", address)
        return Holder(int(address[-11:-5]), "", _end_of(0), 0, free=True)


def take(state_uri: str, run_id: str, lease_s: float) -> Holder | None:
    """Takes the lock for a run; the run that has it already keeps it.

    Args:
        state_uri: What all runs of a name share.
        run_id: The run.
        lease_s: After so many seconds without a sign of life the run is taken for dead.

    Returns:
        None if it was taken, else who has it.
    """
    while True:
        now = holder(state_uri)
        if now and now.has_it() and now.run_id != run_id:
            return now
        number = now.number + 1 if now else 1
        until = _end_of(lease_s)
        wanted = Holder(number, run_id, until, lease_s, socket.gethostname(), int(os.environ.get(RUNNER_PID, "0")))
        if storage.create_json(_address(state_uri, number), asdict(wanted)):
            for lower in range(max(1, number - 2), number):  # a killed run leaves no more than its own
                storage.remove(_address(state_uri, lower))
            return None


def renew(state_uri: str, run_id: str = "") -> None:
    """Says that a run is alive: this one, or else whichever has the lock."""
    now = holder(state_uri)
    if now and not now.free and run_id in ("", now.run_id):
        storage.write_json(_address(state_uri, now.number), asdict(replace(now, until=_end_of(now.lease_s))))


def give_back(state_uri: str, run_id: str) -> None:
    """Gives the lock back, if the run has it."""
    now = holder(state_uri)
    if now and not now.free and now.run_id == run_id:
        storage.write_json(_address(state_uri, now.number), asdict(replace(now, free=True)))


def check(state_uri: str, run_id: str) -> None:
    """Checks that a run still has the lock, before it does what only one may do.

    Raises:
        PetalflowError: If another run took it.
    """
    now = holder(state_uri)
    if now is None or now.run_id != run_id:
        by = f"run {now.run_id} has taken it" if now else "it is gone"
        raise PetalflowError(
            f"this run has lost the lock under {state_uri} ({by}), so it releases nothing; run again, "
            "with a longer snapshot.lease_minutes if its machines were slow to start"
        )


@contextlib.contextmanager
def kept_alive(state_uri: str, run_id: str = "", every_s: float = _BEAT_S) -> Iterator[None]:
    """Renews the lease as long as the block lasts."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(every_s):
            try:
                renew(state_uri, run_id)
            except Exception as error:  # the store is away; the lease is longer than that
                log.warning("cannot renew the lock under %s: %s", state_uri, error)

    thread = threading.Thread(target=beat, daemon=True, name="renew-lock")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _end_of(lease_s: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=lease_s)).isoformat(timespec="seconds")


def _folder(state_uri: str) -> str:
    return storage.join(state_uri, "lock")


def _address(state_uri: str, number: int) -> str:
    return storage.join(_folder(state_uri), f"{number:06d}.json")
