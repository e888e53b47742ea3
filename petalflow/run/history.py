"""The runs of a name, read from their records."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from petalflow import storage
from petalflow.run import lock, record
from petalflow.run.steps import STEPS
from petalflow.verdict import wilson_interval

# The outcome of a run whose record has no end.
ACTIVE, WAITING, INTERRUPTED = "running", "waiting", "interrupted"
UNREADABLE = "unreadable"
# Records read at a time; on a store each part is a request.
_THREADS = 16
_NO_REASON = "requested, though nothing changed"
_PARTS = (record.BEGIN, record.SNAPSHOT, record.VERDICT, record.RELEASE, record.END, record.MLFLOW)
_ACCURACY_CHECK = "min_accuracy"


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
        images: The number of images of the source; None if it was not read.
        interval: Wilson's two-sided 95 % interval of the accuracy; None without test images.
        test_images: The number of test images; 0 without a verdict.
        min_accuracy: The accuracy that the verdict required, 0..1; None if it required none.
        failures: The checks that failed, each as a sentence.
        rolled_back_from: The version whose files a rollback published again; None if it was no rollback.
        mlflow: The page of the run in MLflow, or "".
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
    images: int | None = None
    interval: tuple[float, float] | None = None
    test_images: int = 0
    min_accuracy: float | None = None
    failures: tuple[str, ...] = ()
    rolled_back_from: int | None = None
    mlflow: str = ""

    @property
    def ended(self) -> bool:
        """True if the record states how the run ended."""
        return self.ended_at is not None


def history(record_uri: str, state_uri: str, last: int | None = None) -> list[RunRecord]:
    """Returns the runs of a name, the newest last; a run whose start cannot be read follows after them.

    Args:
        record_uri: The folder of the records.
        state_uri: The state shared by all runs of the name; the run that holds the lock there is active.
        last: The number of runs to return, the newest; None for all.
    """
    begun = list(start_times(record_uri).items())
    return _read_all(record_uri, state_uri, begun[-last:] if last else begun)


def read_runs(record_uri: str, state_uri: str, run_ids: Iterable[str]) -> list[RunRecord]:
    """Returns some runs of a name, like `history`; leaves out those that have no record.

    Args:
        record_uri: The folder of the records.
        state_uri: The state shared by all runs of the name.
        run_ids: The runs.
    """
    return _read_all(record_uri, state_uri, list(_start_times(record_uri, run_ids).items()))


def start_times(record_uri: str) -> dict[str, datetime | None]:
    """Returns the runs that have a record -> when each began, the newest last; None where that cannot be read."""
    return _start_times(record_uri, storage.list_folders(record_uri))


def _start_times(record_uri: str, run_ids: Iterable[str]) -> dict[str, datetime | None]:
    with ThreadPoolExecutor(_THREADS) as pool:
        found = itertools.chain(*pool.map(partial(_start_time, record_uri), run_ids))
    return dict(sorted(found, key=lambda run: (run[1] is None, run[1] or datetime.min, run[0])))


def _read_all(record_uri: str, state_uri: str, begun: Sequence[tuple[str, datetime | None]]) -> list[RunRecord]:
    holder = lock.current_holder(state_uri) if begun else None
    active = holder.run_id if holder and holder.is_active() else ""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda run: _read(record_uri, *run, active_run=active), begun))


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
    required = [check["threshold"] for check in verdict.get("checks", ()) if _is_required_accuracy(check)]
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
        failed_check=_check_name(failed[0]) if failed else "",
        accepted_by=(verdict.get("accepted_anyway") or {}).get("by", ""),
        version=release.get("version"),
        error=end.get("error", ""),
        images=parts[record.SNAPSHOT].get("images"),
        interval=_interval(verdict) if verdict else None,
        test_images=verdict.get("test_images", 0),
        min_accuracy=required[0] if required else None,
        failures=tuple(f"{_check_name(check)}: {check['why']}" for check in failed),
        rolled_back_from=release.get("rolled_back_from"),
        mlflow=parts[record.MLFLOW].get("url", ""),
    )


def _check_name(check: Mapping[str, Any]) -> str:
    return " of ".join(filter(None, (check["name"], check["slice"])))


def _is_required_accuracy(check: Mapping[str, Any]) -> bool:
    return check["name"] == _ACCURACY_CHECK and not check["slice"]


def _interval(verdict: Mapping[str, Any]) -> tuple[float, float] | None:
    images = verdict.get("test_images")
    return wilson_interval(round(verdict["candidate"]["accuracy"] * images), images) if images else None


def _reasons(snapshot: Mapping[str, Any], release: Mapping[str, Any]) -> tuple[str, ...]:
    if "rolled_back_from" in release:
        return (": ".join(filter(None, (f"back to version {release['rolled_back_from']}", release["why"]))),)
    if not snapshot or snapshot["nothing_new"]:
        return ()
    return (snapshot["skipped"],) if snapshot["skipped"] else (*snapshot["why"],) or (_NO_REASON,)


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
