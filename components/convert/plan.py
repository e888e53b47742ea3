"""What goes into which shard, decided from the listing alone.

Shards are assigned before any image is read, so that a worker gets a shard's list and
reads, checks and writes by itself: image bytes never travel between workers.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from components.convert.settings import ConvertSettings
from components.convert.split import named_split, split_of, splits_of_groups
from petalflow.source import SPLITS, Item, Listing

# What may become of an image, beside the name of its split.
_DUPLICATE, _CONFLICT = "duplicate", "conflict"
# Of images of no class, which a multi-label source may have.
_NO_CLASS = ("",)


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
        duplicates: Images whose content is there already under the same label.
        conflicts: Images whose content appears under more than one label, and that are not kept.
        left_out: Images that settings ask to do without.

    Each of the three is in the listing's order.
    """

    shards: tuple[ShardPlan, ...]
    duplicates: tuple[Item, ...]
    conflicts: tuple[Item, ...]
    left_out: tuple[Item, ...] = ()


def make_plan(listing: Listing, settings: ConvertSettings) -> Plan:
    """Returns the plan for a source; the same for equal listings.

    Of copies of one content one is kept, the first by address, wherever it is ours to choose the split: were each group
    of images to keep its own, the content could be in training and in test. Where the source names splits, a copy is
    kept in each. Content under several labels is kept under none of them, or (`conflicts="keep"`) once under each; a
    label whose copies all are in groups that belong to another split than the first copy is not kept even then.

    Args:
        listing: The source.
        settings: How to convert.

    Raises:
        UsageError: If the source names two splits for one group.
    """
    of_groups = splits_of_groups(listing.items)
    own_splits = {item.split for item in listing.items if item.split}
    became: dict[str, list[Item]] = defaultdict(list)
    # By content hash: an order that mixes the classes and needs no seed. Copies stay in the listing's order.
    for _, same in groupby(sorted(listing.items, key=attrgetter("sha256")), attrgetter("sha256")):
        copies = list(same)
        splits = [split_of(copy, own_splits, of_groups) for copy in copies]
        named = [named_split(copy, of_groups) for copy in copies]
        for copy, outcome in zip(copies, _outcomes(copies, splits, named, settings.conflicts == "keep"), strict=True):
            became[outcome].append(copy)
    kept = [(split, item) for split in SPLITS for item in became[split]]
    beyond = _beyond(kept, settings.max_images_per_class, settings.seed) if settings.max_images_per_class else set()
    left_out, chosen = list[Item](), defaultdict[str, list[Item]](list)
    for at, (split, item) in enumerate(kept):
        (left_out if at in beyond else chosen[split]).append(item)
    shards = tuple(shard for split in SPLITS for shard in _cut(split, chosen[split], settings))
    return Plan(shards, *map(_in_order, (became[_DUPLICATE], became[_CONFLICT], left_out)))


def _outcomes(copies: Sequence[Item], splits: Sequence[str], named: Sequence[str | None], keep: bool) -> list[str]:
    """Returns what becomes of each copy of one content.

    Args:
        copies: The copies, in the listing's order.
        splits: The split that each would be in by itself.
        named: The split that the source names for each, if any.
        keep: Whether the content may be kept under several labels.
    """
    if len(copies) == 1:
        return list(splits)
    if not keep and len({copy.labels for copy in copies}) > 1:
        return [_CONFLICT] * len(copies)
    # Where all copies go that the source says the same of; what it names wins over what is ours to choose.
    places: dict[str | None, str] = {}
    for name, split in zip(named, splits, strict=True):
        places.setdefault(name, split)
    open_to_it = {split for name, split in places.items() if name or len(places) == 1}
    kept_labels = {copy.labels for copy, split in zip(copies, splits, strict=True) if split in open_to_it}
    outcomes, taken = list[str](), set[tuple[str, tuple[str, ...]]]()
    for copy, split in zip(copies, splits, strict=True):
        if split in open_to_it and (split, copy.labels) not in taken:
            taken.add((split, copy.labels))
            outcomes.append(split)
        else:
            outcomes.append(_DUPLICATE if copy.labels in kept_labels else _CONFLICT)
    return outcomes


def _beyond(kept: Sequence[tuple[str, Item]], most: int, seed: int) -> set[int]:
    """Returns which images, by their number, are not among the first `most` of any of their classes.

    The order is one of hashes, and no image's place before another depends on what else there is. So of a larger number
    the smaller is a part, and an image that is beyond it stays so when others are added.
    """
    order = sorted(
        (hashlib.sha256(f"{seed}:{item.sha256}".encode()).digest(), split, item.labels or _NO_CLASS, number)
        for number, (split, item) in enumerate(kept)
    )
    seen, beyond = defaultdict[str, int](int), set[int]()
    for _, _, labels, number in order:
        if all(seen[label] >= most for label in labels):
            beyond.add(number)
        for label in labels:
            seen[label] += 1
    return beyond


def _in_order(items: Iterable[Item]) -> tuple[Item, ...]:
    return tuple(sorted(items, key=attrgetter("address")))


def _cut(split: str, items: Sequence[Item], settings: ConvertSettings) -> Sequence[ShardPlan]:
    if not items:
        return []
    wanted = settings.shards or max(1, round(sum(item.size_bytes for item in items) / (settings.shard_mib << 20)))
    count = min(len(items), wanted)
    bounds = [len(items) * index // count for index in range(count + 1)]
    return [ShardPlan(split, index, count, tuple(items[bounds[index] : bounds[index + 1]])) for index in range(count)]
