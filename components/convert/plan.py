"""What goes into which shard, decided from the listing alone.

Shards are assigned before any image is read, so that a worker gets a shard's list and
reads, checks and writes by itself: image bytes never travel between workers.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from components.convert.settings import ConvertSettings
from components.convert.split import split_of
from petalflow.source import SPLITS, Item, Listing


@dataclass(frozen=True)
class ShardPlan:
    """One shard to be written.

    Attributes:
        split: The split it belongs to.
        index: Its number in the split.
        count: How many shards the split has.
        items: The images to put in, in order.
    """

    split: str
    index: int
    count: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Plan:
    """All shards, and what was left out of them.

    Attributes:
        shards: The shards, by split and index.
        duplicates: Images whose content is in the same split under the same label already.
        conflicts: Images whose content appears under more than one label.
        left_out: Images that settings ask to do without.
    """

    shards: tuple[ShardPlan, ...]
    duplicates: tuple[Item, ...]
    conflicts: tuple[Item, ...]
    left_out: tuple[Item, ...] = ()


def make_plan(listing: Listing, settings: ConvertSettings) -> Plan:
    """Returns the plan for a source; the same for equal listings.

    Args:
        listing: The source.
        settings: How to convert.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    for item in listing.items:
        labels[item.sha256].add(item.label)
    own_splits = {item.split for item in listing.items if item.split}
    splits: dict[str, dict[str, Item]] = {split: {} for split in SPLITS}
    duplicates, conflicts = [], []
    for item in listing.items:
        taken = splits[split_of(item, own_splits)]
        if len(labels[item.sha256]) > 1:
            conflicts.append(item)
        elif item.sha256 in taken:
            duplicates.append(item)
        else:
            taken[item.sha256] = item
    shards = tuple(shard for split, taken in splits.items() for shard in _cut(split, taken, settings))
    return Plan(shards, tuple(duplicates), tuple(conflicts))


def _cut(split: str, by_hash: dict[str, Item], settings: ConvertSettings) -> Sequence[ShardPlan]:
    # Sorted by content hash: an order that mixes the classes and needs no seed.
    items = [by_hash[sha256] for sha256 in sorted(by_hash)]
    if not items:
        return []
    wanted = settings.shards or max(1, round(sum(item.size_bytes for item in items) / (settings.shard_mib << 20)))
    count = min(len(items), wanted)
    bounds = [len(items) * index // count for index in range(count + 1)]
    return [ShardPlan(split, index, count, tuple(items[bounds[index] : bounds[index + 1]])) for index in range(count)]
