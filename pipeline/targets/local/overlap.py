"""One run after the other in a folder of this machine: wait for the other, or leave."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from components.snapshot.settings import SnapshotSettings
from petalflow.errors import PetalflowError
from petalflow.run import record
from pipeline import running

_ASK_EVERY_S = 10.0


def when_free(out: Path, options: SnapshotSettings, work: Callable[[], str], ask_every_s: float = _ASK_EVERY_S) -> str:
    """Does work that locks a folder, after another run that holds it; or leaves, if it may not wait or one waits.

    Args:
        out: The folder.
        options: Whether to wait, and for how long.
        work: Returns the outcome of a run.
        ask_every_s: Seconds between looks at the folder.

    Returns:
        That outcome, or "skipped".

    Raises:
        PetalflowError: If it waited in vain.
    """
    patience_s, waiting_since = options.overlap_wait_minutes * 60, None
    with contextlib.ExitStack() as queue:
        while True:
            with contextlib.suppress(running.Busy):
                with running.locked(out):  # work looks at much else before it finds the folder taken
                    queue.close()
                return work()
            if waiting_since is None:
                waiting_since = time.monotonic()
                if options.overlap == "leave" or not _is_next(queue, out):
                    print(f"skipped: another run is going on in {out}")
                    return record.SKIPPED
                print(f"waiting for the run in {out}", flush=True)
            if time.monotonic() - waiting_since > patience_s:
                raise PetalflowError(
                    f"another run is still going on in {out} after {options.overlap_wait_minutes:g} minutes; see what "
                    "it does, or wait longer: snapshot.overlap_wait_minutes"
                )
            time.sleep(min(ask_every_s, patience_s))


def _is_next(queue: contextlib.ExitStack, out: Path) -> bool:
    """Tells whether we are the one who waits; a schedule that is due often must not pile up."""
    try:
        queue.enter_context(running.locked(out / ".next"))
    except running.Busy:
        return False
    return True
