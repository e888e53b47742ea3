"""Images that look like one of another split, though their bytes differ: resized, recompressed, a little cropped.

Each image gets a perceptual hash of 64 bits (pHash: the signs of the lowest frequencies of its grey values, over
their median), and two images look alike where few bits differ.
"""

import contextlib
import io
from array import array
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.validate.settings import ValidateSettings
from petalflow.dataset import Dataset
from petalflow.progress import Counter
from petalflow.splits import SPLITS

# In smaller images there is too little to be told apart by.
_SMALLEST_PX = 64
# Of images decoded at a fraction of their size, enough is left for a hash of 32 x 32 grey values.
_DRAFT_PX = 64
_BITS = 64
# Encoded images that wait for a thread, and pairs compared at once: enough to keep busy, little enough to forget.
_WAITING_BYTES = 64 << 20
_WAITING_EACH = 16
_PAIRS = 1 << 20
# Images of more pixels are decoded one at a time.
_LARGE_PIXELS = 20_000_000
_one_at_a_time = Lock()


@dataclass(frozen=True)
class NearDuplicates:
    """Images that look like one of an earlier split, the most alike first.

    Attributes:
        images: Their places among all records, [m].
        originals: The place of the image in an earlier split that each is most like, [m].
        distances: Bits in which the hashes of the two differ, [m].
    """

    images: NDArray[np.int64]
    originals: NDArray[np.int64]
    distances: NDArray[np.int64]


def find_near_duplicates(dataset: Dataset, settings: ValidateSettings) -> NearDuplicates:
    """Finds the images that look like one of an earlier split; those less than 64 px high or wide are passed over."""
    places, hashes, ends = _all_hashes(dataset, settings.threads)
    found = [np.empty((3, 0), np.int64)]
    for begin, end in pairwise(ends):
        nearest, distances = nearest_of(hashes[begin:end], hashes[:begin], settings.near_duplicate_distance)
        alike = nearest >= 0
        found.append(np.stack([places[begin:end][alike], places[nearest[alike]], distances[alike]]))
    images, originals, distances = np.concatenate(found, axis=1)
    order = np.lexsort((images, distances))
    return NearDuplicates(images[order], originals[order], distances[order])


def _all_hashes(dataset: Dataset, threads: int) -> tuple[NDArray[np.int64], NDArray[np.uint64], list[int]]:
    """Returns the places of the images that are large enough, their hashes, and where in both each split ends."""
    places, hashes, ends, place = array("q"), array("Q"), list[int](), 0
    counter = Counter("validate", sum(dataset.sizes.values()), "images")
    for split in SPLITS:
        for found in _hashes_of(dataset, split, threads):
            if found is not None:
                places.append(place)
                hashes.append(found)
            place += 1
            counter.add(note="near-duplicates")
        ends.append(len(places))
    return np.array(places, np.int64), np.array(hashes, np.uint64), ends


def _hashes_of(dataset: Dataset, split: str, threads: int) -> Iterator[int | None]:
    """Yields the hash of each image of a split, in order."""
    waiting: deque[tuple[int, Future[int | None]]] = deque()
    waiting_bytes = 0
    with ThreadPoolExecutor(threads) as pool:
        for record in dataset.records(split):
            waiting.append((len(record.image), pool.submit(perceptual_hash, record.image)))
            waiting_bytes += len(record.image)
            while waiting_bytes > _WAITING_BYTES or len(waiting) > _WAITING_EACH * threads:
                size_bytes, first = waiting.popleft()
                waiting_bytes -= size_bytes
                yield first.result()
        yield from (hashed.result() for _, hashed in waiting)


def perceptual_hash(data: bytes) -> int | None:
    """Returns the 64 bits of an image's pHash, or None if it is too small to have one."""
    import imagehash

    with Image.open(io.BytesIO(data)) as image:
        if min(image.size) < _SMALLEST_PX:
            return None
        image.draft("L", (_DRAFT_PX, _DRAFT_PX))
        large = image.width * image.height > _LARGE_PIXELS
        with _one_at_a_time if large else contextlib.nullcontext():
            bits = imagehash.phash(image).hash
    return int.from_bytes(np.packbits(bits).tobytes())


def nearest_of(
    hashes: NDArray[np.uint64], others: NDArray[np.uint64], distance: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns for each hash which of the others is nearest, or -1 if none is near; and how many bits apart.

    Two hashes that differ in no more than `distance` bits are equal in one of `distance + 1` bands of bits, as there
    are more bands than bits that differ. So only those that share a band are compared.

    Args:
        hashes: [n].
        others: [m].
        distance: Bits in which they may differ, 0..63.
    """
    # Many images may have one hash (blank pages); each hash is looked up once.
    hashes, again = np.unique(hashes, return_inverse=True)
    others, first = np.unique(others, return_index=True)
    best = np.full(len(hashes), distance + 1 << 32)  # the distance, and then the place
    edges = [_BITS * band // (distance + 1) for band in range(distance + 2)]
    for begin, end in pairwise(edges):
        mask = np.uint64((1 << end - begin) - 1)
        keys = others >> np.uint64(begin) & mask
        order = np.argsort(keys, kind="stable")
        wanted = hashes >> np.uint64(begin) & mask
        begins = np.searchsorted(keys[order], wanted, "left")
        counts = np.searchsorted(keys[order], wanted, "right") - begins
        for rows in _portions(counts):
            each = counts[rows]
            starts = np.cumsum(each) - each
            columns = order[np.arange(each.sum()) - np.repeat(starts - begins[rows], each)]
            apart = np.bitwise_count(np.repeat(hashes[rows], each) ^ others[columns]).astype(np.int64)
            best[rows] = np.minimum(best[rows], np.minimum.reduceat(apart << 32 | first[columns], starts))
    nearest, apart = best & 0xFFFFFFFF, best >> 32
    return np.where(apart <= distance, nearest, -1)[again], apart[again]


def _portions(counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Returns the places of counts that are not 0, in portions that sum up to about so much as is compared at once."""
    rows = np.flatnonzero(counts)
    if not len(rows):
        return []
    portion = np.cumsum(counts[rows]) // _PAIRS
    return np.split(rows, np.flatnonzero(np.diff(portion)) + 1)
