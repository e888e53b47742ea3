"""The images that were refused: a list of them with reasons, and the files themselves."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from components.convert.plan import Plan
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardResult
from petalflow import source, storage
from petalflow.source import Item, Listing, Reject

log = logging.getLogger(__name__)

REJECTS = "rejects.jsonl"
FOLDER = "rejects"

# Of the files that are copied; what is beyond can be found at its address.
_MAX_FILES = 1000
_MAX_BYTES = 1 << 30
# What is larger is copied one after the other, so that threads do not multiply what is in memory.
_SMALL_BYTES = 4 << 20


def all_rejects(listing: Listing, plan: Plan, results: Sequence[ShardResult]) -> list[Reject]:
    """Returns every image that was refused, by the listing, the plan or a worker, sorted by address."""
    of_workers = (reject for result in results for reject in result.rejects)
    rejects = [*listing.rejects, *_conflicts(plan), *of_workers]
    return sorted(rejects, key=lambda reject: (reject.address, reject.label, reject.reason))


def _conflicts(plan: Plan) -> Iterable[Reject]:
    labels: dict[str, set[str]] = defaultdict(set)
    for item in plan.conflicts:
        labels[item.sha256].add(item.label)
    for item in plan.conflicts:
        sentence = f"the same image stands under more than one label: {', '.join(sorted(labels[item.sha256]))}"
        yield Reject(item.address, item.label, "conflicting_labels", sentence)


def write_rejects(
    root: Path, address: str, settings: ConvertSettings, rejects: Sequence[Reject], listing: Listing
) -> dict[str, str]:
    """Writes rejects.jsonl, and the rejected files beside it: each once, none that is too large, not too many.

    Returns:
        Address of a reject -> its file's name in the folder of rejects, where it is there.

    Raises:
        PetalflowError: If a file is no longer as it was listed.
    """
    lines = [json.dumps(asdict(reject), sort_keys=True, ensure_ascii=False) + "\n" for reject in rejects]
    storage.write_bytes(str(root / REJECTS), "".join(lines).encode())
    refused = {reject.address for reject in rejects}
    items = [item for item in listing.items if item.address in refused]
    chosen = _choose(items, settings.max_image_mib << 20)
    if chosen:
        _copy(list(chosen.values()), root / FOLDER, source.open_source(address, settings).reader(), settings.threads)
    return {item.address: item.sha256 for item in items if item.sha256 in chosen}


def read_rejects(dataset: str) -> list[Reject]:
    """Returns the rejects that rejects.jsonl lists.

    Args:
        dataset: The dataset's address.
    """
    # Not by str.splitlines, which breaks lines at characters that file names may hold, such as U+2028.
    lines = storage.read_bytes(storage.join(dataset, REJECTS)).split(b"\n")
    return [Reject(**json.loads(line)) for line in lines if line]


def _copy(items: Sequence[Item], folder: Path, read: source.Reader, threads: int) -> None:
    def copy(item: Item) -> None:
        # Under its content's hash: names of rejected files are the last to be trusted.
        storage.write_bytes(str(folder / item.sha256), read(item))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(copy, (item for item in items if item.size_bytes <= _SMALL_BYTES)))
    for item in items:
        if item.size_bytes > _SMALL_BYTES:
            copy(item)


def _choose(items: Sequence[Item], max_bytes: int) -> dict[str, Item]:
    """Returns the files to copy, by their hashes."""
    chosen: dict[str, Item] = {}
    left = _MAX_BYTES
    for item in items:
        if item.sha256 in chosen or item.size_bytes > max_bytes:
            continue
        if len(chosen) == _MAX_FILES or item.size_bytes > left:
            log.info(
                "%s/ holds the first %d rejected files only; %s has the addresses of all", FOLDER, len(chosen), REJECTS
            )
            break
        chosen[item.sha256] = item
        left -= item.size_bytes
    return chosen
