"""What became of every image: records, rejects and duplicates, and that none is unaccounted for."""

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.convert.plan import Plan
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardResult
from petalflow import source, storage
from petalflow.dataset import BINS, STATISTICS_FILE, Summary
from petalflow.errors import PetalflowError
from petalflow.printable import printable
from petalflow.source import Item, Listing, Reject
from petalflow.splits import SPLITS

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


@dataclass(frozen=True, slots=True)
class Recorded:
    """An image that became a record.

    Attributes:
        item: The image.
        shard: Number of its shard in the plan.
    """

    item: Item
    shard: int


def records(plan: Plan, results: Sequence[ShardResult]) -> Iterator[Recorded]:
    """Yields the images that became records, in the order in which they stand in the shards.

    Args:
        plan: What was to be in the shards.
        results: What became of it, in the same order.
    """
    for number, (shard, result) in enumerate(zip(plan.shards, results, strict=True)):
        refused = {reject.address for reject in result.rejects}
        yield from (Recorded(item, number) for item in shard.items if item.address not in refused)


def make_statistics(
    listing: Listing, plan: Plan, results: Sequence[ShardResult], rejects: Sequence[Reject]
) -> dict[str, Any]:
    """Returns what statistics.json says, but for what `write_metadata` adds.

    Raises:
        PetalflowError: If an image is unaccounted for.
    """
    count = sum(result.records for result in results)
    _check_account(listing, plan, count, rejects)
    classes, summaries = listing.classes, dict[str, dict[str, Summary]]()
    for result in results:
        of_split = summaries.setdefault(result.split, {name: Summary() for name in classes})
        for name, summary in result.summaries.items():
            of_split[name].merge(summary)
    return {
        "fingerprint": listing.fingerprint,
        "images": len(listing.items) + len(listing.rejects),
        "records": count,
        "sizes": {split: sum(one.records for one in results if one.split == split) for split in summaries},
        "rewritten": sum(result.rewritten for result in results),
        "duplicates": len(plan.duplicates),
        "left_out": len(plan.left_out),
        "rejects": dict(sorted(Counter(reject.reason for reject in rejects).items())),
        "rejects_by_class": dict(
            sorted(Counter(name for reject in rejects for name in listing.labels_of(reject)).items())
        ),
        "bytes": {
            "source": sum(item.size_bytes for item in listing.items),
            **{split: sum(one.size_bytes for one in results if one.split == split) for split in summaries},
        },
        "counts": {split: {name: one.images for name, one in of.items()} for split, of in summaries.items()},
        "bins": {name: " ".join(f"{edge:g}" for edge in edges) for name, edges in BINS.items()},
        "summaries": {split: {name: one.to_json() for name, one in of.items()} for split, of in summaries.items()},
    }


def _check_account(listing: Listing, plan: Plan, count: int, rejects: Sequence[Reject]) -> None:
    images = len(listing.items) + len(listing.rejects)
    if images != count + len(rejects) + len(plan.duplicates) + len(plan.left_out):
        raise PetalflowError(
            f"{images} images came in but {count} records, {len(rejects)} rejects, {len(plan.duplicates)} "
            f"duplicates and {len(plan.left_out)} left out came out; this is a defect, please report it"
        )


def one_line(statistics: Mapping[str, Any]) -> str:
    """Returns the account for a log."""
    sizes = ", ".join(f"{size} {split}" for split, size in statistics["sizes"].items())
    left_out = f", {statistics['left_out']} left out" if statistics["left_out"] else ""
    return (
        f"{statistics['images']} images in: {statistics['records']} records ({sizes}; {statistics['rewritten']} "
        f"rewritten), {sum(statistics['rejects'].values())} rejects, {statistics['duplicates']} duplicates{left_out}"
    )


def for_people(dataset: str) -> str:
    """Returns the account of a finished dataset as aligned lines.

    Args:
        dataset: Its address.
    """
    statistics = storage.read_json(storage.join(dataset, STATISTICS_FILE))
    rows = [*_rows(statistics, read_rejects(dataset)), ("", "", f"see {storage.join(dataset, 'dataset.html')}")]
    width = max(len(what) for _, what, _ in rows)
    digits = len(rows[0][0])
    return "\n".join(f"{count:>{digits}}  {what:{width}}  {note}".rstrip() for count, what, note in rows)


def _rows(statistics: Mapping[str, Any], rejects: Sequence[Reject]) -> Iterator[tuple[str, str, str]]:
    """Yields a number, what there are so many of, and a note."""
    sizes = ", ".join(f"{statistics['sizes'][split]:,} {split}" for split in SPLITS if split in statistics["sizes"])
    yield f"{statistics['images']:,}", "images in", f"{len(statistics['classes']):,} classes"
    yield f"{statistics['records']:,}", "records", sizes
    yield f"{statistics['rewritten']:,}", "  rewritten", "the others are as they came, byte for byte"
    examples = {reject.reason: reject for reject in reversed(rejects)}  # the first of each reason stays
    yield f"{sum(statistics['rejects'].values()):,}", "rejects", f"all in {REJECTS}" if examples else ""
    for reason, count in statistics["rejects"].items():
        example = examples[reason]
        yield f"{count:,}", f"  {reason}", f"{printable(example.address)}: {printable(example.sentence)}"
    yield f"{statistics['duplicates']:,}", "duplicates", "kept once" if statistics["duplicates"] else ""
    if statistics["left_out"]:
        yield f"{statistics['left_out']:,}", "left out", "as max_images_per_class asks"
