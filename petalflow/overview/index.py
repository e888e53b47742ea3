"""The entries of all runs in one file, so that only new records have to be read.

An entry stays when the record of its run is removed. Runs that have not ended are not in the file, since they change.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from petalflow import storage
from petalflow.overview.entry import Entry
from petalflow.overview.recalls import find_falls
from petalflow.run import record
from petalflow.run.history import RunRecord, read_runs

log = logging.getLogger(__name__)

INDEX_FILE = "history.json"
# The format of the file; one with another format is made again from the records.
_FORMAT = 1
# Older entries are dropped: the page would become too long.
MOST_ENTRIES = 1000
_START = datetime.min.replace(tzinfo=UTC)


def update(record_uri: str, state_uri: str, changed: str = "") -> list[Entry]:
    """Adds the runs that are new to the index, and returns the entries of all, the newest last.

    It costs a listing of the records, a request for the index and one to write it, and about nine for each run that is
    not in it.

    Args:
        record_uri: The folder of the records.
        state_uri: The state shared by all runs of the name.
        changed: A run whose record is read again.
    """
    known = _read(record_uri)
    kept = set(storage.list_folders(record_uri))
    stored = {run_id: entry for run_id, entry in known.items() if run_id != changed or run_id not in kept}
    new = [Entry(run) for run in read_runs(record_uri, state_uri, sorted(kept - set(stored)))]
    entries = sorted([*stored.values(), *new], key=_order)
    entries = _with_falls(record_uri, entries, {entry.run.run_id for entry in new})[-MOST_ENTRIES:]
    ended = {entry.run.run_id: entry for entry in entries if entry.run.ended}
    if ended != known:
        _write(record_uri, ended)
    return [entry if entry.run.run_id in kept else entry.without_record() for entry in entries]


def _order(entry: Entry) -> tuple[datetime, str]:
    return (entry.run.started_at or _START, entry.run.run_id)


def _with_falls(record_uri: str, entries: Sequence[Entry], new: set[str]) -> list[Entry]:
    """Returns the entries, the new ones with the classes that got worse; reads the figures of few runs."""
    read: dict[str, Mapping[str, Any]] = {}

    def recalls(run: RunRecord | None) -> Mapping[str, Any]:
        if run is None:
            return {}
        if run.run_id not in read:
            read.clear()  # only those of the run before are used again
            read[run.run_id] = _recalls(record_uri, run.run_id)
        return read[run.run_id]

    before: RunRecord | None = None
    found = []
    for entry in entries:
        if entry.run.run_id in new and entry.run.accuracy is not None:
            earlier, now = recalls(before), recalls(entry.run)
            judged_before = before.run_id if before and earlier and now else ""
            found.append(replace(entry, falls=find_falls(earlier, now), judged_before=judged_before))
        else:
            found.append(entry)
        before = before if entry.run.accuracy is None else entry.run
    return found


def _recalls(record_uri: str, run_id: str) -> Mapping[str, Any]:
    try:
        return dict((record.read(record_uri, run_id, record.METRICS) or {}).get("recalls", {}))
    except (ValueError, TypeError):  # not JSON
        return {}


def _read(record_uri: str) -> dict[str, Entry]:
    try:
        value = storage.read_json(storage.join(record_uri, INDEX_FILE))
        if value["format"] != _FORMAT:
            return {}
        entries = [Entry.from_json(one) for one in value["runs"]]
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError) as error:  # cut off, or edited by hand
        log.warning("%s in %s cannot be read and is made again: %r", INDEX_FILE, record_uri, error)
        return {}
    return {entry.run.run_id: entry for entry in entries}


def _write(record_uri: str, entries: Mapping[str, Entry]) -> None:
    value = {"format": _FORMAT, "runs": [entry.to_json() for entry in entries.values()]}
    storage.write_json(storage.join(record_uri, INDEX_FILE), value)
