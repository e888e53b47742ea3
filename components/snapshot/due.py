"""Whether a start of the pipeline is the one that its schedule asks for.

A place that reads cron lines in a zone of its own, whose clocks do not change with those of the schedule's, starts
the pipeline at every time that could be the right one; all but the first since the schedule was due have nothing to do.
"""

from datetime import datetime

from components.snapshot.settings import SnapshotSettings
from petalflow import clock, storage
from petalflow.cron import Cron


def why_not_due(state_uri: str, run_id: str, settings: SnapshotSettings) -> str:
    """Returns why a start has nothing to do, or "" if it is due; then no other is, until the next time.

    Args:
        state_uri: What all runs of the name share.
        run_id: The run; started again after it was cut off, it is still due.
        settings: When it is due, if that is for us to say.
    """
    if settings.due is None:
        return ""
    cron = Cron.of(*settings.due.rsplit(maxsplit=1))
    last = cron.last_until(clock.now())
    address = storage.join(state_uri, "due.json")
    served = storage.read_json(address) if storage.exists(address) else {"due": settings.due_since, "run_id": ""}
    over = max(datetime.fromisoformat(time) for time in (served["due"], settings.due_since) if time)
    if served["run_id"] != run_id and last <= over:
        return f"not due now: next at {cron.next_after(clock.now()):%Y-%m-%d %H:%M %Z}"
    storage.write_json(address, {"due": last.isoformat(), "run_id": run_id})
    return ""
