"""What became of every image: records, rejects and duplicates, and that none is unaccounted for."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.convert.plan import Plan
from components.convert.rejects import REJECTS, read_rejects
from components.convert.shard import ShardResult
from petalflow import storage
from petalflow.dataset import BINS, STATISTICS_FILE, Summary
from petalflow.errors import PetalflowError
from petalflow.printable import printable
from petalflow.source import SPLITS, Item, Listing, Reject


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
