"""One run of a name at a time: take the lock, or wait for it, or leave."""

import logging
import time

from components.snapshot.settings import SnapshotSettings
from petalflow.errors import PetalflowError
from petalflow.run import lock

log = logging.getLogger(__name__)

_ASK_EVERY_S = 10.0


def take_turn(state_uri: str, run_id: str, settings: SnapshotSettings, ask_every_s: float = _ASK_EVERY_S) -> str:
    """Takes the lock of a name for a run.

    Args:
        state_uri: What all runs of the name share.
        run_id: The run.
        settings: Whether to wait, and for how long.
        ask_every_s: Seconds between attempts.

    Returns:
        Why the run has to leave, or "" if it is its turn.

    Raises:
        PetalflowError: If it waited in vain.
    """
    patience_s, told = settings.overlap_wait_minutes * 60, False
    since = time.monotonic()
    while other := lock.acquire(state_uri, run_id, settings.lease_minutes * 60):
        if settings.overlap == "leave":
            return f"run {other.run_id} is going on"
        if not told:
            log.info("waiting for run %s; without a sign of life it is taken for dead at %s", other.run_id, other.until)
            told = True
        if time.monotonic() - since > patience_s:
            raise PetalflowError(
                f"run {other.run_id} is still going on after {settings.overlap_wait_minutes:g} minutes; see what it "
                "does, or wait longer: snapshot.overlap_wait_minutes"
            )
        time.sleep(min(ask_every_s, patience_s))
    return ""
