"""Assigns each image to a split and a shard, from the listing alone.

As the plan exists before any image is read, a worker can read, check and write the images of a shard independently of
others: image bytes never travel between workers.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from components.convert.evenness import NO_CLASS, even_out
from components.convert.hashing import BORDERS, unit_hash
from components.convert.settings import ConvertSettings
from petalflow.errors import UsageError
from petalflow.source import Item, Listing
from petalflow.splits import SPLITS, TEST, TRAIN, VALIDATION


def named_split(item: Item, group_splits: Mapping[str, str] = {}) -> str | None:
    """Returns the split that the source assigns to an image or to another image of its group, or None.

    Args:
        item: The image.
        group_splits: Group -> split, as `find_group_splits` returns it.
    """
    return item.split or (group_splits.get(item.group) if item.group else None)


def find_group_splits(items: Iterable[Item]) -> dict[str, str]:
    """Returns the split of each group that the source assigns to one.

    Raises:
        UsageError: If the source assigns two splits to a group.
    """
    first: dict[str, Item] = {}
    for item in items:
        if item.group and item.split and first.setdefault(item.group, item).split != item.split:
            other = first[item.group]
            raise UsageError(
                f"group {item.group!r} is in {other.split} ({other.address}) and in {item.split} ({item.address}); "
                "assign all images of a group to one split"
            )
    return {group: str(item.split) for group, item in first.items()}


def assign_split(item: Item, own_splits: Collection[str], group_splits: Mapping[str, str] = {}) -> str:
    """Returns the split of an image by a threshold on a hash, before `even_out`.

    The source's own splits take precedence. If it lacks validation or test, each gets a tenth of the images that are in
    train or have no split; a source without splits is split 80/10/10 on average, and so are images without a split in
    a source that names all three. The hash is that of the group or else of the content, so duplicates share a split,
    and so do the images of a group.

    Args:
        item: The image.
        own_splits: The splits that the source assigns to any image.
        group_splits: Group -> split, as `find_group_splits` returns it.

    Returns:
        "train", "validation" or "test".
    """
    named = named_split(item, group_splits)
    if named not in (None, TRAIN):
        return str(named)
    hashed = unit_hash(item.group or item.sha256)
    for split in _drawn(own_splits, named):
        start, end = BORDERS[split]
        if start <= hashed < end:
            return split
    return TRAIN


def _drawn(own_splits: Collection[str], named: str | None) -> list[str]:
    """Returns the splits, besides train, into which hashes put images that the source names for train or for none."""
    if named is None and {*SPLITS} <= {*own_splits}:
        return [VALIDATION, TEST]
    return [split for split in (VALIDATION, TEST) if split not in own_splits]


# Outcomes of an image, in addition to the names of the splits.
_DUPLICATE, _CONFLICT = "duplicate", "conflict"


@dataclass(frozen=True)
class ShardPlan:
    """The plan of one shard.

    Attributes:
        split: The shard's split.
        index: The shard's number in the split, from 0.
        count: Number of shards of the split.
        items: The images of the shard, in order.
    """

    split: str
    index: int
    count: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Plan:
    """All shards, and the images that are in none; those are in the order of the listing.

    Attributes:
        shards: The shards, by split and index.
        duplicates: Copies of an image that is kept under the same label.
        conflicts: Images that are rejected because the same content has several labels.
        left_out: Images in excess of `max_images_per_class`.
    """

    shards: tuple[ShardPlan, ...]
    duplicates: tuple[Item, ...]
    conflicts: tuple[Item, ...]
    left_out: tuple[Item, ...] = ()


def make_plan(listing: Listing, settings: ConvertSettings) -> Plan:
    """Returns the plan for a source; equal listings give equal plans.

    What the source does not put into validation or test itself is divided by hash, evenly within each class.

    If the source assigns no split to identical images, only the first by address is kept: keeping one in each group
    could put the same content into training and test. In each split that the source does assign, one copy is kept.

    Content under several labels is rejected, or (`conflicts="keep"`) kept once per label. Even then, a label is dropped
    if all of its copies are in groups that belong to another split than the first copy.

    Args:
        listing: The listing of the source.
        settings: How to convert.

    Raises:
        UsageError: If the source assigns two splits to a group.
    """
    group_splits = find_group_splits(listing.items)
    own_splits = {item.split for item in listing.items if item.split}
    kept, others = list[_Kept](), defaultdict[str, list[Item]](list)
    # Ordering by content hash mixes the classes and needs no seed. Copies stay in the order of the listing.
    for _, same in groupby(sorted(listing.items, key=attrgetter("sha256")), attrgetter("sha256")):
        copies = list(same)
        splits = [assign_split(copy, own_splits, group_splits) for copy in copies]
        named = [named_split(copy, group_splits) for copy in copies]
        outcomes = _outcomes(copies, splits, named, settings.conflicts == "keep")
        for copy, outcome, name in zip(copies, outcomes, named, strict=True):
            if outcome in SPLITS:
                kept.append(_Kept(outcome, copy, name in (None, TRAIN) and bool(_drawn(own_splits, name))))
            else:
                others[outcome].append(copy)
    excess = _excess(kept, settings.max_images_per_class, settings.seed) if settings.max_images_per_class else set()
    left_out = [one.item for at, one in enumerate(kept) if at in excess]
    chosen = _by_split([one for at, one in enumerate(kept) if at not in excess], _drawn(own_splits, None))
    shards = tuple(shard for split in SPLITS for shard in _cut(split, chosen[split], settings))
    return Plan(shards, *map(_sort_by_address, (others[_DUPLICATE], others[_CONFLICT], left_out)))


def _outcomes(copies: Sequence[Item], splits: Sequence[str], named: Sequence[str | None], keep: bool) -> list[str]:
    """Returns the outcome of each copy of one content: a split, duplicate or conflict.

    Args:
        copies: The copies, in the order of the listing.
        splits: The split that each copy would be assigned to on its own.
        named: The split that the source assigns to each copy, or None.
        keep: True if the content may be kept under several labels.
    """
    if len(copies) == 1:
        return list(splits)
    if not keep and len({copy.labels for copy in copies}) > 1:
        return [_CONFLICT] * len(copies)
    # Split named by the source, or None -> split of all copies with that name. Named splits take precedence.
    split_by_name: dict[str | None, str] = {}
    for name, split in zip(named, splits, strict=True):
        split_by_name.setdefault(name, split)
    allowed = {split for name, split in split_by_name.items() if name or len(split_by_name) == 1}
    kept_labels = {copy.labels for copy, split in zip(copies, splits, strict=True) if split in allowed}
    outcomes, taken = list[str](), set[tuple[str, tuple[str, ...]]]()
    for copy, split in zip(copies, splits, strict=True):
        if split in allowed and (split, copy.labels) not in taken:
            taken.add((split, copy.labels))
            outcomes.append(split)
        else:
            outcomes.append(_DUPLICATE if copy.labels in kept_labels else _CONFLICT)
    return outcomes


class _Kept(NamedTuple):
    """An image that is kept.

    Attributes:
        split: The split that the source or its hash gives it.
        item: The image.
        is_movable: True if a hash decided on its split.
    """

    split: str
    item: Item
    is_movable: bool


def _by_split(kept: Sequence[_Kept], drawn: Sequence[str]) -> dict[str, list[Item]]:
    """Returns the images of each split, in order, after those that their hashes put there were evened out."""
    evened = iter(even_out([(one.split, one.item) for one in kept if one.is_movable], drawn) if drawn else ())
    chosen = defaultdict[str, list[Item]](list)
    for one in kept:
        chosen[next(evened) if drawn and one.is_movable else one.split].append(one.item)
    return chosen


def _excess(kept: Sequence[_Kept], most: int, seed: int) -> set[int]:
    """Returns the numbers of the images that are not among the first `most` of any of their classes, by hash.

    The order of two images does not depend on any other image. A larger `most` therefore keeps all images that a
    smaller one keeps, and an image that is left out stays left out when others are added.
    """
    order = sorted(
        (hashlib.sha256(f"{seed}:{item.sha256}".encode()).digest(), split, item.labels or NO_CLASS, number)
        for number, (split, item, _) in enumerate(kept)
    )
    seen, excess = defaultdict[str, int](int), set[int]()
    for _, _, labels, number in order:
        if all(seen[label] >= most for label in labels):
            excess.add(number)
        for label in labels:
            seen[label] += 1
    return excess


def _sort_by_address(items: Iterable[Item]) -> tuple[Item, ...]:
    return tuple(sorted(items, key=attrgetter("address")))


def _cut(split: str, items: Sequence[Item], settings: ConvertSettings) -> Sequence[ShardPlan]:
    if not items:
        return []
    wanted = settings.shards or max(1, round(sum(item.size_bytes for item in items) / (settings.shard_mib << 20)))
    count = min(len(items), wanted)
    bounds = [len(items) * index // count for index in range(count + 1)]
    return [ShardPlan(split, index, count, tuple(items[bounds[index] : bounds[index + 1]])) for index in range(count)]
