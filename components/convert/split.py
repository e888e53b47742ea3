"""Which split an image belongs to: a threshold on a hash, so that it never moves when data is added."""

import hashlib
from collections.abc import Collection

from petalflow.source import Item

_VALIDATION_FROM, _TEST_FROM = 0.8, 0.9


def split_of(item: Item, own_splits: Collection[str]) -> str:
    """Returns the split of an image.

    The source's own splits win; of those it lacks, validation and test are cut from train,
    a tenth of it each. Without any, 80/10/10 of each class on average. Duplicates, and all
    of a group, share a split, since the hash is of the group or else of the content.

    Args:
        item: The image.
        own_splits: The splits that the source names for any image.

    Returns:
        "train", "validation" or "test".
    """
    if item.split not in (None, "train"):
        return str(item.split)
    place = _unit_hash(item.group or item.sha256)
    if place >= _TEST_FROM and "test" not in own_splits:
        return "test"
    if _VALIDATION_FROM <= place < _TEST_FROM and "validation" not in own_splits:
        return "validation"
    return "train"


def _unit_hash(key: str) -> float:
    """Returns a number in [0, 1) that depends on nothing but `key`."""
    return int.from_bytes(hashlib.sha256(f"split:{key}".encode()).digest()[:8]) / 2**64
