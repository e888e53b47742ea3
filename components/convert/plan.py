"""What goes into which split and shard, decided from the listing alone.

Shards are assigned before any image is read, so that a worker gets a shard's list and
reads, checks and writes by itself: image bytes never travel between workers.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from components.convert.settings import ConvertSettings
from petalflow.errors import UsageError
from petalflow.source import Item, Listing
from petalflow.splits import SPLITS

_VALIDATION_FROM, _TEST_FROM = 0.8, 0.9


def named_split(item: Item, of_groups: Mapping[str, str] = {}) -> str | None:
    """Returns the split that the source names for an image, or for another of its group; None if it names none.

    Args:
        item: The image.
        of_groups: What `splits_of_groups` returned.
    """
    return item.split or (of_groups.get(item.group) if item.group else None)


def splits_of_groups(items: Iterable[Item]) -> dict[str, str]:
    """Returns the split of each group that the source names one for.

    Raises:
        UsageError: If it names two for one group, which would be torn apart.
    """
    first: dict[str, Item] = {}
    for item in items:
        if item.group and item.split and first.setdefault(item.group, item).split != item.split:
            other = first[item.group]
            raise UsageError(
                f"group {item.group!r} is in {other.split} ({other.address}) and in {item.split} ({item.address}); "
                f"name one split for all of a group"
            )
    return {group: str(item.split) for group, item in first.items()}


def split_of(item: Item, own_splits: Collection[str], of_groups: Mapping[str, str] = {}) -> str:
    """Returns the split of an image.

    The source's own splits win; of those it lacks, validation and test are cut from train and from what it names no
    split for, a tenth of it each. Without any, 80/10/10 of each class on average. Duplicates, and all of a group, share
    a split, since the hash is of the group or else of the content.

    Args:
        item: The image.
        own_splits: The splits that the source names for any image.
        of_groups: The splits that it names for groups.

    Returns:
        "train", "validation" or "test".
    """
    named = named_split(item, of_groups)
    if named not in (None, "train"):
        return str(named)
    place = _unit_hash(item.group or item.sha256)
    if place >= _TEST_FROM and "test" not in own_splits:
        return "test"
    if _VALIDATION_FROM <= place < _TEST_FROM and "validation" not in own_splits:
        return "validation"
    return "train"


def _unit_hash(key: str) -> float:
    """Returns a number in [0, 1) that depends on nothing but `key`."""
    return int.from_bytes(hashlib.sha256(f"split:{key}".encode()).digest()[:8]) / 2**64


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
