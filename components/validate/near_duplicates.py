"""Finds images that resemble one in another split although their bytes differ: resized, recompressed, slightly cropped.

Each image gets a perceptual hash of 64 bits (pHash: the lowest frequencies of its grey values, each compared with
their median). Two images resemble each other if their hashes differ in few bits.
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

# Smaller images have too little detail to be distinguished.
_SMALLEST_PX = 64
# JPEGs are decoded at a fraction of their size, which is enough for a hash of 32 x 32 grey values.
_DRAFT_PX = 64
_BITS = 64
# Limits of memory: encoded images that wait for a thread, and pairs that are compared at once.
_WAITING_BYTES = 64 << 20
_WAITING_EACH = 16
_PAIRS = 1 << 20
# Images with more pixels are decoded one at a time.
_LARGE_PIXELS = 20_000_000
_one_at_a_time = Lock()


@dataclass(frozen=True)
class NearDuplicates:
    """Images that resemble one in an earlier split, the most similar first.

    Attributes:
        images: Indices of the images among all records, [m].
        originals: Index of the most similar image in an earlier split, for each, [m].
        distances: Number of bits in which the hashes of the two differ, [m].
    """

    images: NDArray[np.int64]
    originals: NDArray[np.int64]
    distances: NDArray[np.int64]


def find_near_duplicates(dataset: Dataset, settings: ValidateSettings) -> NearDuplicates:
    """Finds the images that resemble one in an earlier split; skips those less than 64 px high or wide."""
    indices, hashes, ends = _compute_hashes(dataset, settings.threads)
    found = [np.empty((3, 0), np.int64)]
    for begin, end in pairwise(ends):
        nearest, distances = find_nearest(hashes[begin:end], hashes[:begin], settings.near_duplicate_distance)
        alike = nearest >= 0
        found.append(np.stack([indices[begin:end][alike], indices[nearest[alike]], distances[alike]]))
    images, originals, distances = np.concatenate(found, axis=1)
    order = np.lexsort((images, distances))
    return NearDuplicates(images[order], originals[order], distances[order])


def _compute_hashes(dataset: Dataset, threads: int) -> tuple[NDArray[np.int64], NDArray[np.uint64], list[int]]:
    """Returns the indices of the images that are large enough, their hashes, and the end of each split in both."""
    indices, hashes, ends, index = array("q"), array("Q"), list[int](), 0
    counter = Counter("validate", sum(dataset.sizes.values()), "images")
    for split in SPLITS:
        for found in _split_hashes(dataset, split, threads):
            if found is not None:
                indices.append(index)
                hashes.append(found)
            index += 1
            counter.add(note="near-duplicates")
        ends.append(len(indices))
    return np.array(indices, np.int64), np.array(hashes, np.uint64), ends


def _split_hashes(dataset: Dataset, split: str, threads: int) -> Iterator[int | None]:
    """Yields the hash of each image of a split, in order; None for images that are too small."""
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
    """Returns the pHash of an image, 64 bits, or None if the image is too small."""
    import imagehash

    with Image.open(io.BytesIO(data)) as image:
        if min(image.size) < _SMALLEST_PX:
            return None
        image.draft("L", (_DRAFT_PX, _DRAFT_PX))
        large = image.width * image.height > _LARGE_PIXELS
        with _one_at_a_time if large else contextlib.nullcontext():
            bits = imagehash.phash(image).hash
    return int.from_bytes(np.packbits(bits).tobytes())


def find_nearest(
    hashes: NDArray[np.uint64], others: NDArray[np.uint64], distance: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Finds the nearest of some other hashes for each hash.

    The bits are divided into `distance + 1` bands. Two hashes that differ in at most `distance` bits agree in at least
    one band, so only hashes that share a band are compared.

    Args:
        hashes: [n].
        others: [m].
        distance: Maximum number of bits in which they may differ, 0..63.

    Returns:
        The index of the nearest other hash, or -1 if none is near enough, [n]; and their distance in bits, [n].
    """
    # Many images may have the same hash (blank pages); each hash is looked up once.
    hashes, inverse = np.unique(hashes, return_inverse=True)
    others, first = np.unique(others, return_index=True)
    best = np.full(len(hashes), distance + 1 << 32)  # the distance in the upper, the index in the lower 32 bits
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
    return np.where(apart <= distance, nearest, -1)[inverse], apart[inverse]


def _portions(counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Returns the indices of non-zero counts, in portions whose counts sum up to about `_PAIRS`."""
    rows = np.flatnonzero(counts)
    if not len(rows):
        return []
    portion = np.cumsum(counts[rows]) // _PAIRS
    return np.split(rows, np.flatnonzero(np.diff(portion)) + 1)
