"""The runs of a name, read from their records."""

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

# The outcome of a run whose record has no end.
ACTIVE, WAITING, INTERRUPTED = "running", "waiting", "interrupted"
UNREADABLE = "unreadable"
# Records read at a time; on a store each part is a request.
_THREADS = 16
_NO_REASON = "requested, though nothing changed"
_PARTS = (record.BEGIN, record.SNAPSHOT, record.VERDICT, record.RELEASE, record.END)


@dataclass(frozen=True)
class RunRecord:
    """What the record of a run contains.

    Attributes:
        run_id: The run.
        outcome: accepted, refused, failed, nothing new or skipped; "running", "waiting" (for another run) or
            "interrupted" if the record has no end; "unreadable" if the record cannot be read.
        started_at: When the run began; None if the record does not state it.
        ended_at: When the run ended.
        trigger: Who or what started it.
        source: The address of the images.
        why: The reasons for the run, or why it was skipped; empty if nothing was new.
        steps: Each step, in the order of the pipeline -> ran, cached, skipped, failed or running; empty before the end.
        accuracy: The candidate's accuracy on the test images, 0..1; None without a verdict.
        failed_check: The first check that failed, or "".
        version: The version that was released; None if none was.
        error: Why the run failed, or which part of the record cannot be read; or "".
        accepted_by: Who accepted the candidate despite failed checks, or "".
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
    """Returns the runs of a name, the newest last; a run whose start cannot be read follows after them.

    Args:
        record_uri: The folder of the records.
        state_uri: The state shared by all runs of the name; the run that holds the lock there is active.
        last: The number of runs to return, the newest; None for all.
    """
    begun = list(start_times(record_uri).items())
    selected = begun[-last:] if last else begun
    holder = lock.current_holder(state_uri)
    active = holder.run_id if holder and holder.is_active() else ""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda run: _read(record_uri, *run, active_run=active), selected))


def start_times(record_uri: str) -> dict[str, datetime | None]:
    """Returns the runs that have a record -> when each began, the newest last; None where that cannot be read."""
    with ThreadPoolExecutor(_THREADS) as pool:
        found = itertools.chain(*pool.map(partial(_start_time, record_uri), storage.list_folders(record_uri)))
    return dict(sorted(found, key=lambda run: (run[1] is None, run[1] or datetime.min, run[0])))


def delete(record_uri: str, run_id: str) -> None:
    """Deletes a record; its begin.json last, so that an interrupted deletion is found and finished another time."""
    folder = storage.join(record_uri, run_id)
    for file in storage.list_files(folder):
        if file.name != f"{record.BEGIN}.json":
            storage.remove(storage.join(folder, file.name))
    storage.remove(folder)


def _start_time(record_uri: str, run_id: str) -> list[tuple[str, datetime | None]]:
    """Returns a run and when it began; nothing if the folder is not a record."""
    try:
        begun = record.read(record_uri, run_id, record.BEGIN)
        return [(run_id, _parse_time(begun["started_at"]))] if begun is not None else []
    except (ValueError, TypeError, KeyError):
        return [(run_id, None)]


def _read(record_uri: str, run_id: str, started_at: datetime | None, *, active_run: str) -> RunRecord:
    parts: dict[str, dict[str, Any]] = {}
    for part in _PARTS:
        try:
            parts[part] = record.read(record_uri, run_id, part) or {}
        except (ValueError, TypeError):
            return RunRecord(run_id, UNREADABLE, started_at, error=f"{part}.json is not a JSON object")
    try:
        if run_id == active_run:
            return _run_record(run_id, parts, ACTIVE)
        # A run without a snapshot that did not end is waiting for the active one.
        return _run_record(run_id, parts, WAITING if active_run and not parts[record.SNAPSHOT] else INTERRUPTED)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return RunRecord(run_id, UNREADABLE, started_at, error=f"written by another program: {error!r}")


def _run_record(run_id: str, parts: Mapping[str, dict[str, Any]], without_end: str) -> RunRecord:
    begun, verdict, release, end = (parts[part] for part in (record.BEGIN, record.VERDICT, record.RELEASE, record.END))
    failed = [check for check in verdict.get("checks", ()) if check["passed"] is False]
    return RunRecord(
        run_id,
        outcome=end.get("outcome", without_end),
        started_at=_parse_time(begun["started_at"]),
        ended_at=_parse_time(end["ended_at"]) if end else None,
        trigger=begun["trigger"],
        source=parts[record.SNAPSHOT].get("source", begun["source"]),
        why=_reasons(parts[record.SNAPSHOT], release),
        steps={step: end["steps"][step] for step in STEPS if step in end.get("steps", ())},
        accuracy=verdict["candidate"]["accuracy"] if verdict else None,
        failed_check=" of ".join(filter(None, (failed[0]["name"], failed[0]["slice"]))) if failed else "",
        accepted_by=(verdict.get("accepted_anyway") or {}).get("by", ""),
        version=release.get("version"),
        error=end.get("error", ""),
    )


def _reasons(snapshot: Mapping[str, Any], release: Mapping[str, Any]) -> tuple[str, ...]:
    if "rolled_back_from" in release:
        return (": ".join(filter(None, (f"back to version {release['rolled_back_from']}", release["why"]))),)
    if not snapshot or snapshot["nothing_new"]:
        return ()
    return (snapshot["skipped"],) if snapshot["skipped"] else (*snapshot["why"],) or (_NO_REASON,)


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
