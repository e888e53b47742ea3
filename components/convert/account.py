"""Accounts for every image of the source: as a record, reject, duplicate or image left out."""

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from components.convert.plan import Plan
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardResult
from petalflow import source, storage
from petalflow.dataset import BINS, STATISTICS_FILE, Summary
from petalflow.errors import PetalflowError
from petalflow.printable import printable
from petalflow.source import IGNORED, Item, Listing, Reject, count_ignored
from petalflow.splits import SPLITS

log = logging.getLogger(__name__)

REJECTS_FILE = "rejects.jsonl"
REJECTS_FOLDER = "rejects"

# Limits of the files that are copied; further ones remain at their address in the source.
_MAX_FILES = 1000
_MAX_BYTES = 1 << 30
# Larger files are copied one at a time, to limit the memory.
_SMALL_BYTES = 4 << 20


def collect_rejects(
    listing: Listing, plan: Plan, results: Sequence[ShardResult], copies: Iterable[Reject] = ()
) -> list[Reject]:
    """Returns the images that the listing, the plan or a worker rejected, sorted by address.

    Args:
        listing: The listing of the source.
        plan: The plan of the shards.
        results: The outcomes of the shards.
        copies: The copies of images that a worker rejected.
    """
    of_workers = (reject for result in results for reject in result.rejects)
    rejects = [*listing.rejects, *_conflicts(plan), *of_workers, *copies]
    return sorted(rejects, key=lambda reject: (reject.address, reject.label, reject.reason))


def _conflicts(plan: Plan) -> Iterable[Reject]:
    labels: dict[str, set[str]] = defaultdict(set)
    for item in plan.conflicts:
        labels[item.sha256].add(item.label)
    for item in plan.conflicts:
        sentence = f"the same image has more than one label: {', '.join(sorted(labels[item.sha256]))}"
        yield Reject(item.address, item.label, "conflicting_labels", sentence)


def write_rejects(
    root: Path, address: str, settings: ConvertSettings, rejects: Sequence[Reject], listing: Listing
) -> dict[str, str]:
    """Writes rejects.jsonl, and copies the rejected files, each once and up to limits of size and number.

    Returns:
        Address of a reject -> name of its copy in the folder of rejects, if it was copied.

    Raises:
        PetalflowError: If a file has changed since it was listed.
    """
    lines = [json.dumps(asdict(reject), sort_keys=True, ensure_ascii=False) + "\n" for reject in rejects]
    storage.write_bytes(str(root / REJECTS_FILE), "".join(lines).encode())
    refused = {reject.address for reject in rejects}
    items = [item for item in listing.items if item.address in refused]
    chosen = choose_files(items, settings.max_image_mib << 20)
    if chosen:
        _copy(
            list(chosen.values()),
            root / REJECTS_FOLDER,
            source.open_source(address, settings).reader(),
            settings.threads,
        )
    return {item.address: item.sha256 for item in items if item.sha256 in chosen}


def read_rejects(dataset: str) -> list[Reject]:
    """Returns the rejects that rejects.jsonl lists.

    Args:
        dataset: The dataset's address.
    """
    # Not by str.splitlines, which breaks lines at characters that file names may hold, such as U+2028.
    lines = storage.read_bytes(storage.join(dataset, REJECTS_FILE)).split(b"\n")
    return [Reject(**json.loads(line)) for line in lines if line]


def _copy(items: Sequence[Item], folder: Path, read: source.Reader, threads: int) -> None:
    def copy(item: Item) -> None:
        # Named by content hash: the names of rejected files are not trusted.
        storage.write_bytes(str(folder / item.sha256), read(item))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(copy, (item for item in items if item.size_bytes <= _SMALL_BYTES)))
    for item in items:
        if item.size_bytes > _SMALL_BYTES:
            copy(item)


def choose_files(items: Sequence[Item], max_bytes: int) -> dict[str, Item]:
    """Returns the files to copy, by content hash."""
    chosen: dict[str, Item] = {}
    left = _MAX_BYTES
    for item in items:
        if item.sha256 in chosen or item.size_bytes > max_bytes:
            continue
        if len(chosen) == _MAX_FILES or item.size_bytes > left:
            log.info(
                "%s/ contains only the first %d rejected files; %s lists all of them",
                REJECTS_FOLDER,
                len(chosen),
                REJECTS_FILE,
            )
            break
        chosen[item.sha256] = item
        left -= item.size_bytes
    return chosen


@dataclass(frozen=True, slots=True)
class RecordedImage:
    """An image that became a record.

    Attributes:
        item: The image.
        shard: Index of its shard in the plan.
    """

    item: Item
    shard: int


def recorded_images(plan: Plan, results: Sequence[ShardResult]) -> Iterator[RecordedImage]:
    """Yields the images that became records, in the order of the shards.

    Args:
        plan: The plan of the shards.
        results: The outcomes of the shards, in the same order.
    """
    for number, (shard, result) in enumerate(zip(plan.shards, results, strict=True)):
        refused = {reject.address for reject in result.rejects}
        yield from (RecordedImage(item, number) for item in shard.items if item.address not in refused)


def compute_statistics(
    listing: Listing, plan: Plan, results: Sequence[ShardResult], rejects: Sequence[Reject]
) -> dict[str, Any]:
    """Returns the content of statistics.json, except for what `write_metadata` adds.

    Raises:
        PetalflowError: If an image is unaccounted for.
    """
    count = sum(result.records for result in results)
    _check_account(listing, plan, count, rejects)
    classes, summaries = listing.classes, dict[str, dict[str, Summary]]()
    for result in results:
        by_class = summaries.setdefault(result.split, {name: Summary() for name in classes})
        for name, summary in result.summaries.items():
            by_class[name].merge(summary)
    return {
        "fingerprint": listing.fingerprint,
        "images": len(listing.items) + len(listing.rejects),
        "records": count,
        "sizes": {split: sum(one.records for one in results if one.split == split) for split in summaries},
        "rewritten": sum(result.rewritten for result in results),
        "duplicates": len(plan.duplicates),
        "left_out": len(plan.left_out),
        "rejects": _count(reject.reason for reject in rejects),
        "rejects_by_class": _count(name for reject in rejects for name in listing.reject_labels(reject)),
        "reject_examples": {
            reject.reason: {"address": reject.address, "sentence": reject.sentence}
            for reject in reversed(rejects)  # the first of each reason stays
        },
        "ignored": {reason: asdict(found) for reason, found in count_ignored(listing.ignored).items()},
        "images_by_class": _count(
            chain(
                (name for item in listing.items for name in item.labels),
                (name for reject in listing.rejects for name in listing.reject_labels(reject)),
            )
        ),
        "bytes": {
            "source": sum(item.size_bytes for item in listing.items),
            **{split: sum(one.size_bytes for one in results if one.split == split) for split in summaries},
        },
        "counts": {
            split: {name: summary.images for name, summary in by_class.items()} for split, by_class in summaries.items()
        },
        "bins": {name: " ".join(f"{edge:g}" for edge in edges) for name, edges in BINS.items()},
        "summaries": {
            split: {name: summary.to_json() for name, summary in by_class.items()}
            for split, by_class in summaries.items()
        },
    }


def _count(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _check_account(listing: Listing, plan: Plan, count: int, rejects: Sequence[Reject]) -> None:
    images = len(listing.items) + len(listing.rejects)
    if images != count + len(rejects) + len(plan.duplicates) + len(plan.left_out):
        raise PetalflowError(
            f"{images} images came in but {count} records, {len(rejects)} rejects, {len(plan.duplicates)} "
            f"duplicates and {len(plan.left_out)} left out came out; this is a bug, please report it"
        )


def summary_line(statistics: Mapping[str, Any]) -> str:
    """Returns the account as one line for the log."""
    sizes = ", ".join(f"{size} {split}" for split, size in statistics["sizes"].items())
    left_out = f", {statistics['left_out']} left out" if statistics["left_out"] else ""
    ignored = ", ".join(
        f"{one['count']} {reason}, like {one['example']}" for reason, one in statistics["ignored"].items()
    )
    others = f"; other files ignored: {ignored}" if ignored else ""
    return (
        f"{statistics['images']} images in: {statistics['records']} records ({sizes}; {statistics['rewritten']} "
        f"re-encoded), {sum(statistics['rejects'].values())} rejects, {statistics['duplicates']} duplicates{left_out}"
        f"{others}"
    )


def format_account(dataset: str) -> str:
    """Returns the account of a finished dataset as an aligned table for people.

    Args:
        dataset: The dataset's address.
    """
    statistics = storage.read_json(storage.join(dataset, STATISTICS_FILE))
    rows = [*_rows(statistics, read_rejects(dataset)), ("", "", f"see {storage.join(dataset, 'dataset.html')}")]
    width = max(len(label) for _, label, _ in rows)
    digits = len(rows[0][0])
    return "\n".join(f"{count:>{digits}}  {label:{width}}  {note}".rstrip() for count, label, note in rows)


def _rows(statistics: Mapping[str, Any], rejects: Sequence[Reject]) -> Iterator[tuple[str, str, str]]:
    """Yields the rows of the table: a number, what it counts, and a note."""
    sizes = ", ".join(f"{statistics['sizes'][split]:,} {split}" for split in SPLITS if split in statistics["sizes"])
    yield f"{statistics['images']:,}", "images in", f"{len(statistics['classes']):,} classes"
    yield f"{statistics['records']:,}", "records", sizes
    yield f"{statistics['rewritten']:,}", "  re-encoded", "the others are copied byte for byte"
    examples = {reject.reason: reject for reject in reversed(rejects)}  # the first of each reason stays
    yield f"{sum(statistics['rejects'].values()):,}", "rejects", f"listed in {REJECTS_FILE}" if examples else ""
    for reason, count in statistics["rejects"].items():
        example = examples[reason]
        yield f"{count:,}", f"  {reason}", f"{printable(example.address)}: {printable(example.sentence)}"
    yield f"{statistics['duplicates']:,}", "duplicates", "one copy of each is kept" if statistics["duplicates"] else ""
    if statistics["left_out"]:
        yield f"{statistics['left_out']:,}", "left out", "by max_images_per_class"
    if ignored := statistics.get("ignored"):  # older datasets lack it
        yield f"{sum(one['count'] for one in ignored.values()):,}", "other files", "ignored"
        for reason, one in ignored.items():
            yield f"{one['count']:,}", f"  {reason}", f"{one['example']}: {IGNORED[reason]}"
