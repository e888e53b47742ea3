"""The runs of a name, from what their records say."""

import itertools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from petalflow import storage
from petalflow.run import lock, record
from petalflow.run.steps import STEPS

# What a record without an end comes to.
GOING_ON, WAITING, DID_NOT_END = "going on", "waiting", "did not end"
UNREADABLE = "unreadable"
# Of records read at once; on a store each part is a request.
_THREADS = 16
_NO_REASON = "asked for, though nothing changed"
_PARTS = (record.BEGIN, record.SNAPSHOT, record.VERDICT, record.RELEASE, record.END)


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run.

    Attributes:
        run_id: The run.
        outcome: accepted, refused, failed, nothing new or skipped; "going on", "waiting" (for another) or "did not end"
            of a run that has not said so; "unreadable" where the record cannot be read.
        started_at: When it began; None where the record does not say.
        ended_at: When it ended.
        trigger: Who or what asked for it.
        source: Where its images were.
        why: The reasons for it, or why it was skipped; empty if nothing was new.
        steps: Each step, in their order -> ran, cached, skipped, failed or running; empty if it has not ended.
        accuracy: Of the candidate on the test images, 0..1; None without a verdict.
        failed_check: The first check that refused the candidate, or "".
        version: What was released; None if nothing was.
        error: What failed, or what of the record cannot be read; or "".
        accepted_by: Who let it out whatever its checks said, or "".
    """

    run_id: str
    outcome: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    trigger: str = ""
    source: str = ""
    why: tuple[str, ...] = ()
    steps: Mapping[str, str] = field(default_factory=dict)
    accuracy: float | None = None
    failed_check: str = ""
    version: int | None = None
    error: str = ""
    accepted_by: str = ""


def history(record_uri: str, state_uri: str, last: int | None = None) -> list[RunRecord]:
    """Returns the runs of a name, the newest last; one whose beginning cannot be read comes after them.

    Args:
        record_uri: Where the records are.
        state_uri: What all runs of the name share: there the one that goes on has the lock.
        last: How many at most, the newest; None for all.
    """
    begun = list(beginnings(record_uri).items())
    wanted = begun[-last:] if last else begun
    holder = lock.current_holder(state_uri)
    goes_on = holder.run_id if holder and holder.is_active() else ""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda run: _record(record_uri, *run, goes_on=goes_on), wanted))


def beginnings(record_uri: str) -> dict[str, datetime | None]:
    """Returns the runs that have a record, and when each began, the newest last; None where that cannot be read."""
    with ThreadPoolExecutor(_THREADS) as pool:
        found = itertools.chain(*pool.map(partial(_beginning, record_uri), storage.list_folders(record_uri)))
    return dict(sorted(found, key=lambda run: (run[1] is None, run[1] or datetime.min, run[0])))


def forget(record_uri: str, run_id: str) -> None:
    """Removes a record; its beginning last, so that what was interrupted there is found and ended another time."""
    folder = storage.join(record_uri, run_id)
    for file in storage.list_files(folder):
        if file.name != f"{record.BEGIN}.json":
            storage.remove(storage.join(folder, file.name))
    storage.remove(folder)


def _beginning(record_uri: str, run_id: str) -> list[tuple[str, datetime | None]]:
    """Returns a run and when it began; nothing if the folder is no record."""
    try:
        begun = record.read(record_uri, run_id, record.BEGIN)
        return [(run_id, _time(begun["started_at"]))] if begun is not None else []
    except (ValueError, TypeError, KeyError):
        return [(run_id, None)]


def _record(record_uri: str, run_id: str, started_at: datetime | None, *, goes_on: str) -> RunRecord:
    parts: dict[str, dict[str, Any]] = {}
    for part in _PARTS:
        try:
            parts[part] = record.read(record_uri, run_id, part) or {}
        except (ValueError, TypeError):
            return RunRecord(run_id, UNREADABLE, started_at, error=f"{part}.json is no JSON object")
    try:
        if run_id == goes_on:
            return _told(run_id, parts, GOING_ON)
        # It has not come to look at its source yet, and that takes long only where another goes on.
        return _told(run_id, parts, WAITING if goes_on and not parts[record.SNAPSHOT] else DID_NOT_END)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return RunRecord(run_id, UNREADABLE, started_at, error=f"another program wrote it: {error!r}")


def _told(run_id: str, parts: Mapping[str, dict[str, Any]], not_ended: str) -> RunRecord:
    begun, verdict, release, end = (parts[part] for part in (record.BEGIN, record.VERDICT, record.RELEASE, record.END))
    failed = [check for check in verdict.get("checks", ()) if check["passed"] is False]
    return RunRecord(
        run_id,
        outcome=end.get("outcome", not_ended),
        started_at=_time(begun["started_at"]),
        ended_at=_time(end["ended_at"]) if end else None,
        trigger=begun["trigger"],
        source=parts[record.SNAPSHOT].get("source", begun["source"]),
        why=_why(parts[record.SNAPSHOT], release),
        steps={step: end["steps"][step] for step in STEPS if step in end.get("steps", ())},
        accuracy=verdict["candidate"]["accuracy"] if verdict else None,
        failed_check=" of ".join(filter(None, (failed[0]["name"], failed[0]["slice"]))) if failed else "",
        accepted_by=(verdict.get("accepted_anyway") or {}).get("by", ""),
        version=release.get("version"),
        error=end.get("error", ""),
    )


def _why(snapshot: Mapping[str, Any], release: Mapping[str, Any]) -> tuple[str, ...]:
    if "rolled_back_from" in release:
        return (": ".join(filter(None, (f"back to version {release['rolled_back_from']}", release["why"]))),)
    if not snapshot or snapshot["nothing_new"]:
        return ()
    return (snapshot["skipped"],) if snapshot["skipped"] else (*snapshot["why"],) or (_NO_REASON,)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
