"""The hash that decides the split of an image, and the borders of the splits."""

import hashlib
from typing import Final

from petalflow.splits import TEST, TRAIN, VALIDATION

# Split -> the hashes it holds: from, and up to but not including.
BORDERS: Final = {TRAIN: (0.0, 0.8), VALIDATION: (0.8, 0.9), TEST: (0.9, 1.0)}


def unit_hash(key: str) -> float:
    """Returns a hash of a group or of a content hash as a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(f"split:{key}".encode()).digest()[:8]) / 2**64
