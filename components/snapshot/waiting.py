"""What a run waits for before it reads its source: that it is due, that the source is there, and the lock of its name.

Each may end in a reason to skip the run instead.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from components.snapshot.settings import SnapshotSettings
from petalflow import clock, storage
from petalflow.cron import Cron
from petalflow.errors import PetalflowError
from petalflow.run import lock
from petalflow.source import NoMatch, SourcePattern

log = logging.getLogger(__name__)

_CHECK_SOURCE_EVERY_S = 30.0
_CHECK_LOCK_EVERY_S = 10.0


def why_not_due(state_uri: str, run_id: str, settings: SnapshotSettings) -> str:
    """Returns why a start is not the one that its schedule asks for, or "" if it is.

    A scheduler that reads cron expressions in another time zone, where clocks change on other days, starts the pipeline
    at every time at which it might be due. The first start since the schedule was due runs; the others are skipped.

    Args:
        state_uri: The state shared by all runs of the name.
        run_id: The run; it remains due when it is started again after an interruption.
        settings: When a run is due; every start is, if `settings.due` is not set.
    """
    if settings.due is None:
        return ""
    cron = Cron.of(*settings.due.rsplit(maxsplit=1))
    last = cron.last_until(clock.now())
    address = storage.join(state_uri, "due.json")
    served = storage.read_json(address) if storage.exists(address) else {"due": settings.due_since, "run_id": ""}
    past = max(datetime.fromisoformat(time) for time in (served["due"], settings.due_since) if time)
    if served["run_id"] != run_id and last <= past:
        return f"not due now: next at {cron.next_after(clock.now()):%Y-%m-%d %H:%M %Z}"
    storage.write_json(address, {"due": last.isoformat(), "run_id": run_id})
    return ""


def await_source(source: str, settings: SnapshotSettings, every_s: float = _CHECK_SOURCE_EVERY_S) -> str:
    """Waits for a source.

    The date in its address is that of the day on which the wait began, even if midnight passes.

    Args:
        source: The source as requested.
        settings: The time zone, and how long to wait for what.
        every_s: Seconds between checks.

    Returns:
        The address with its date filled in; "" if the run is to be skipped.

    Raises:
        PetalflowError: If the source does not arrive in time or cannot be read. A store that does not answer is
            tolerated only during the wait.
    """
    now, pattern = clock.now(), SourcePattern(source)
    address, missing = _check_source(pattern, now, settings)
    if not missing:
        return address
    storage.check_readable(pattern.fixed_part.location)  # nothing will arrive in a bucket that does not exist
    if settings.source_wait_minutes:
        log.info("%s; waiting up to %g minutes", missing, settings.source_wait_minutes)
    unavailable: PetalflowError | None = None

    def is_ready() -> bool:
        nonlocal address, missing, unavailable
        unavailable = None
        try:
            address, missing = _check_source(pattern, now, settings)
        except storage.Unavailable as error:
            log.info("%s; checking again", error)
            unavailable = error
        return not missing and not unavailable

    if _wait_until(is_ready, settings.source_wait_minutes * 60, every_s):
        return address
    if unavailable:  # an earlier check proves nothing about the source now
        raise unavailable
    if settings.if_missing == "skip":
        log.info(missing)
        return ""
    raise PetalflowError(
        f"{missing} (waited {settings.source_wait_minutes:g} minutes); upload it, wait longer with "
        "snapshot.source_wait_minutes, or skip such runs with snapshot.if_missing=skip"
    )


def acquire_lock(state_uri: str, run_id: str, settings: SnapshotSettings, every_s: float = _CHECK_LOCK_EVERY_S) -> str:
    """Acquires the lock of a name for a run, waiting for another run if the settings ask for that.

    Args:
        state_uri: The state shared by all runs of the name.
        run_id: The run.
        settings: Whether to wait, and for how long.
        every_s: Seconds between attempts.

    Returns:
        Why the run is to be skipped, or "" if it holds the lock.

    Raises:
        PetalflowError: If the other run is still active after the longest wait.
    """
    other = lock.acquire(state_uri, run_id, settings.lease_minutes * 60)
    if other is None:
        return ""
    if settings.overlap == "skip":
        return f"run {other.run_id} is still active"
    log.info(
        "waiting for run %s, which is considered dead at %s unless it sends a heartbeat", other.run_id, other.until
    )

    def is_acquired() -> bool:
        nonlocal other
        other = lock.acquire(state_uri, run_id, settings.lease_minutes * 60)
        return other is None

    if not _wait_until(is_acquired, settings.overlap_wait_minutes * 60, every_s):
        raise PetalflowError(
            f"run {other.run_id} is still active after {settings.overlap_wait_minutes:g} minutes; check it, or "
            "increase snapshot.overlap_wait_minutes"
        )
    return ""


def _check_source(pattern: SourcePattern, now: datetime, settings: SnapshotSettings) -> tuple[str, str]:
    """Returns the address of a source, and why it cannot be read yet, or ""."""
    try:
        source = pattern.at(now, settings.timezone)
    except NoMatch as error:
        return "", str(error)
    return source.address, source.why_not_ready(settings.ready_file)


# Not tenacity, which every container image would have to install for these five lines.
def _wait_until(condition: Callable[[], bool], timeout_s: float, every_s: float) -> bool:
    """Returns True as soon as a check of the condition does; False if none did in time."""
    until = time.monotonic() + timeout_s
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(min(every_s, left_s))
        if condition():
            return True
    return False
