"""One run of a name at a time: a lock with a lease, on any storage that can create a file once.

    <state_uri>/lock/000007.json                          run 7 acquired the lock: who, and until when
                     000007.until-20261127T190500Z.json   a heartbeat: the lease now ends at that time
                     000007.released.json                 the lock was released

The highest number is the current one. To acquire the lock is to create the next number, which only one of several
writers can do. No file is ever rewritten, so the store needs no compare-and-swap: a heartbeat of number 7 does not
affect number 8, and cannot undo the release of number 7. A run that lost the lock to another one finds a number higher
than its own, and must not release a model (a fencing token, see Kleppmann, "How to do distributed locking", 2016).
Leases follow the real clock, even in a rehearsal of a schedule.

Requests to an object store: reading the holder takes 2 (a listing and a read), acquiring 4 and 3 more for each file
of a lower number that it clears, releasing 3. A heartbeat takes 4 (a write, and 3 to clear the one before it), or 6
where the step knows its run and reads the holder first. At most one heartbeat per running step remains.
"""

import contextlib
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta

from petalflow import storage
from petalflow.errors import PetalflowError

log = logging.getLogger(__name__)

# The process of a local run, in the environment of its steps; it no longer exists when the run was killed.
RUNNER_PID = "PETALFLOW_RUNNER_PID"
# The id of a run on this machine, in the environment of its steps: an argument would keep them from being cached.
RUN_ID = "PETALFLOW_RUN_ID"
_BEAT_S = 60.0
_FILE = re.compile(r"(?P<number>[0-9]{6})(\.released|\.until-(?P<until>[0-9]{8}T[0-9]{6}Z))?\.json")
_UNTIL = "%Y%m%dT%H%M%SZ"


class LockLost(PetalflowError):
    """A run no longer holds the lock."""


@dataclass(frozen=True)
class Holder:
    """The run that holds the lock, or held it last.

    Attributes:
        number: The number of its file.
        run_id: The run.
        until: When the lease ends, ISO 8601.
        lease_s: The length of the lease, in seconds.
        host: The machine that acquired it.
        pid: The process of the run on that machine; 0 if it has none there.
        released: True if the lock was released.
    """

    number: int
    run_id: str
    until: str
    lease_s: float
    host: str = ""
    pid: int = 0
    released: bool = False

    def is_active(self) -> bool:
        """Returns True while the run holds the lock: not released, the lease not expired, the process not gone."""
        return not self.released and datetime.fromisoformat(self.until) > datetime.now(UTC) and not self._is_gone()

    def _is_gone(self) -> bool:
        if not self.pid or self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False  # the process exists and belongs to another user
        return False


def current_holder(state_uri: str) -> Holder | None:
    """Returns the run that holds the lock, or held it last; None if it was never acquired."""
    return _look(state_uri)[1]


def acquire(state_uri: str, run_id: str, lease_s: float) -> Holder | None:
    """Acquires the lock for a run; a run that holds it already keeps it.

    Args:
        state_uri: The state shared by all runs of a name.
        run_id: The run.
        lease_s: Seconds without a heartbeat after which the run is considered dead.

    Returns:
        None if the lock was acquired, else the run that holds it.
    """
    while True:
        names, holder = _look(state_uri)
        if holder and holder.is_active() and holder.run_id != run_id:
            return holder
        # Above every file that is left: where one was removed by hand, the release of a reused number would count.
        number = max(map(_number, names), default=0) + 1
        pid = int(os.environ.get(RUNNER_PID, "0"))
        values = asdict(Holder(number, run_id, _from_now(lease_s).isoformat(), lease_s, socket.gethostname(), pid))
        del values["released"]  # a file of its own
        if not storage.create_json(_address(state_uri, f"{number:06d}"), values):
            continue
        names = _list(state_uri)
        if _highest(names) > number:  # while we were slow, others had this number and the next, and cleared the file
            storage.remove(_address(state_uri, f"{number:06d}"))
            continue
        for name in names:
            if _number(name) < number:
                storage.remove(storage.join(_folder(state_uri), name))
        return None


def renew(state_uri: str, holder: Holder) -> Holder:
    """Records that the run of a holder is alive.

    This changes nothing for a lock that was released, or that another run has acquired.

    Args:
        state_uri: The state shared by all runs of a name.
        holder: The holder, as `current_holder` or an earlier call returned it.

    Returns:
        The holder with its new lease.
    """
    until = _from_now(holder.lease_s)
    if until.isoformat() == holder.until:
        return holder
    address = _address(state_uri, f"{holder.number:06d}.until-{until:{_UNTIL}}")
    storage.create_json(address, {"until": until.isoformat(), "host": socket.gethostname()})
    storage.remove(_address(state_uri, f"{holder.number:06d}.until-{datetime.fromisoformat(holder.until):{_UNTIL}}"))
    return replace(holder, until=until.isoformat())


def release(state_uri: str, run_id: str) -> None:
    """Releases the lock, if the run holds it."""
    holder = current_holder(state_uri)
    if holder and not holder.released and holder.run_id == run_id:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        storage.create_json(_address(state_uri, f"{holder.number:06d}.released"), {"released_at": at})


def check_held(state_uri: str, run_id: str) -> None:
    """Checks that a run still holds the lock, before it does what only one run may do.

    Raises:
        LockLost: If another run acquired it.
    """
    holder = current_holder(state_uri)
    if holder is None or holder.run_id != run_id:
        why = f"run {holder.run_id} has acquired it" if holder else "it no longer exists"
        raise LockLost(f"this run has lost the lock under {state_uri} ({why})")


@contextlib.contextmanager
def kept_alive(state_uri: str, run_id: str = "", every_s: float = _BEAT_S) -> Iterator[None]:
    """Renews the lease while the block runs.

    Args:
        state_uri: The state shared by all runs of a name.
        run_id: The run, whose lease is renewed while it holds the lock. "" for a step that does not know its run,
            because it may be cached and runs on a cluster: it is taken to belong to the run that holds the lock when
            the block begins (or as soon as the store can be read), and never renews the lease of a later one.
        every_s: Seconds between heartbeats.
    """
    heartbeat = _Heartbeat(state_uri, run_id)
    heartbeat.look()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(every_s):
            heartbeat.beat()

    thread = threading.Thread(target=beat, daemon=True, name="renew-lock")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Heartbeat:
    """The heartbeat of a step; a store that fails is logged, since the lease outlasts several beats."""

    def __init__(self, state_uri: str, run_id: str) -> None:
        self._state_uri, self._run_id = state_uri, run_id
        self._holder: Holder | None = None
        self._must_look = True

    def look(self) -> None:
        try:
            self._look()
        except Exception as error:
            log.warning("cannot read the lock under %s: %s", self._state_uri, error)

    def beat(self) -> None:
        try:
            if self._must_look:
                self._look()
            if self._holder:
                self._holder = renew(self._state_uri, self._holder)
        except Exception as error:
            log.warning("cannot renew the lock under %s: %s", self._state_uri, error)

    def _look(self) -> None:
        holder = current_holder(self._state_uri)
        is_ours = holder is not None and not holder.released and self._run_id in ("", holder.run_id)
        self._holder = holder if is_ours else None
        self._must_look = bool(self._run_id)  # such a run may acquire the lock later, or once more


def _look(state_uri: str) -> tuple[list[str], Holder | None]:
    """Returns the names of the lock's files, and the holder that they describe."""
    while True:
        names = _list(state_uri)
        number = _highest(names)
        if number == 0:
            return names, None
        with contextlib.suppress(FileNotFoundError):  # whoever acquired it in the meantime has cleared the file
            return names, _read(state_uri, number, names)


def _read(state_uri: str, number: int, names: Sequence[str]) -> Holder:
    """Returns the holder of a number; of a damaged file, one without a run, so that no run passes `check_held`."""
    address = _address(state_uri, f"{number:06d}")
    try:
        values = storage.read_json(address)
        # Earlier versions rewrote "until" and "free" in this file.
        values["released"] = values.get("free", False) or f"{number:06d}.released.json" in names
        holder = Holder(**{field.name: values[field.name] for field in fields(Holder) if field.name in values})
        leases = [datetime.fromisoformat(holder.until), *_beats(number, names)]
        return replace(holder, until=max(leases).isoformat())
    except (ValueError, TypeError, AttributeError):
        log.warning("%s is damaged; treating the lock as released", address)
        return Holder(number, "", _from_now(0).isoformat(), 0, released=True)


def _beats(number: int, names: Sequence[str]) -> Iterator[datetime]:
    for match in filter(None, map(_FILE.fullmatch, names)):
        if match["until"] and int(match["number"]) == number:
            yield datetime.strptime(match["until"], _UNTIL).replace(tzinfo=UTC)


def _list(state_uri: str) -> list[str]:
    files = storage.list_files(_folder(state_uri), deep=False)
    return [file.name for file in files if _FILE.fullmatch(file.name)]


def _highest(names: Sequence[str]) -> int:
    """Returns the highest number that somebody acquired; 0 if nobody did."""
    return max((_number(name) for name in names if re.fullmatch(r"[0-9]{6}\.json", name)), default=0)


def _number(name: str) -> int:
    return int(name.partition(".")[0])


def _from_now(seconds: float) -> datetime:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)


def _folder(state_uri: str) -> str:
    return storage.join(state_uri, "lock")


def _address(state_uri: str, name: str) -> str:
    return storage.join(_folder(state_uri), f"{name}.json")
