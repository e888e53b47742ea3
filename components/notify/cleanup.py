"""Remove old records, unfinished trainings, listings and releases."""

import logging
import re
from datetime import datetime
from functools import partial

from components.notify.settings import KeepSettings
from petalflow import registry, storage
from petalflow.run import history, lock, record

log = logging.getLogger(__name__)

# Names that train and snapshot give; other files are not ours to remove.
_TRAINING = re.compile(r"[0-9a-f]{16}")
_LISTING = re.compile(r"[0-9a-f]+\.jsonl\.gz")


def clean_up(registry_uri: str, name: str, state_uri: str, record_uri: str, keep: KeepSettings) -> None:
    """Removes what the settings do not keep; a failure is only logged.

    Args:
        registry_uri: The registry.
        name: The name of the releases.
        state_uri: The state shared by all runs of the name.
        record_uri: The folder of the records of its runs.
        keep: How much to keep.
    """
    removed = []
    for what, number, remove in (
        ("records", keep.runs, partial(_remove_records, record_uri, state_uri)),
        ("unfinished trainings", keep.states, partial(_remove_trainings, state_uri)),
        ("listings", keep.states, partial(_remove_listings, state_uri, registry_uri, name)),
        ("releases", keep.releases, partial(registry.prune, registry_uri, name)),
    ):
        try:
            old = remove(number) if number is not None else ()
        except Exception as error:  # no reason for the run to fail
            log.warning("cannot remove old %s: %s", what, error)
        else:
            removed += [f"{what} ({len(old)})"] if old else []
    if removed:
        log.info("removed old %s", ", ".join(removed))


def _remove_records(record_uri: str, state_uri: str, keep: int) -> list[str]:
    begun = [run_id for run_id, began in history.start_times(record_uri).items() if began]
    if len(begun) <= keep:
        return []
    holder = lock.current_holder(state_uri)
    kept = {holder.run_id} if holder and holder.is_active() else set()
    kept.add(next((run_id for run_id in reversed(begun) if _was_accepted(record_uri, run_id)), ""))
    old = [run_id for run_id in begun[:-keep] if run_id not in kept]
    for run_id in old:
        history.delete(record_uri, run_id)
    return old


def _was_accepted(record_uri: str, run_id: str) -> bool:
    try:
        return (record.read(record_uri, run_id, record.END) or {}).get("outcome") == record.ACCEPTED
    except (ValueError, TypeError):  # unreadable, which `petalflow runs` shows
        return False


def _remove_trainings(state_uri: str, keep: int) -> list[str]:
    folder = storage.join(state_uri, "train")
    old = [entry for entry in _oldest_first(folder) if _TRAINING.fullmatch(entry)][:-keep]
    return _remove(folder, old)


def _remove_listings(state_uri: str, registry_uri: str, name: str, keep: int) -> list[str]:
    folder = storage.join(state_uri, "listings")
    old = [entry for entry in _oldest_first(folder) if _LISTING.fullmatch(entry)][:-keep]
    live = registry.live(registry_uri, name) if old else None
    # The next run reports what changed since the live release.
    return _remove(folder, [entry for entry in old if not live or entry != f"{live.lineage['fingerprint']}.jsonl.gz"])


def _oldest_first(folder: str) -> list[str]:
    """Returns the entries of a folder, ordered by the time at which they were last written to."""
    written: dict[str, datetime] = {}
    for file in storage.list_files(folder):
        entry, time = file.name.partition("/")[0], storage.modified(storage.join(folder, file.name))
        written[entry] = max(written.get(entry, time), time)
    return sorted(written, key=lambda entry: (written[entry], entry))


def _remove(folder: str, entries: list[str]) -> list[str]:
    for entry in entries:
        storage.remove(storage.join(folder, entry))
    return entries
