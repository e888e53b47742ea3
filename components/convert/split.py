"""Which split an image belongs to: a threshold on a hash, so that it never moves when data is added."""

import hashlib
from collections.abc import Collection, Iterable, Mapping

from petalflow.errors import UsageError
from petalflow.source import Item

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
