"""What the records hold beside their images; every one is read, and checked against its checksum."""

from array import array
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from petalflow.dataset import Dataset
from petalflow.errors import PetalflowError
from petalflow.progress import Counter
from petalflow.source import SPLITS

# Of the hash of a content so much is kept: two by chance alike are not to be met among any number of images.
_KEPT_BYTES = 16


@dataclass(frozen=True)
class Contents:
    """What is in the records, train first; 21 bytes an image, so that a million of them fit anywhere.

    Attributes:
        splits: Index into SPLITS, [n].
        hashes: Of the content in the source, [n, 2].
        labels: Equal where an image's labels are, [n].
    """

    splits: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    labels: NDArray[np.int32]

    def shared(self) -> NDArray[np.int64]:
        """Returns the images whose content stands in an earlier split too, and beside each the first such: [m, 2]."""
        order, group = self._by_content(self.splits)
        first = order[group]
        found = self.splits[order] != self.splits[first]
        pairs = np.stack([order[found], first[found]], axis=1)
        return pairs[np.argsort(pairs[:, 0])]

    def conflicts(self) -> int:
        """Returns how many images have a content that stands under other labels too."""
        order, group = self._by_content(self.labels)
        other = self.labels[order] != self.labels[order[group]]
        return int(np.isin(group, group[other]).sum())

    def _by_content(self, within: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the images, equal contents together, and for each place in that order where its content begins."""
        order = np.lexsort((within, self.hashes[:, 1], self.hashes[:, 0]))
        hashes = self.hashes[order]
        begins = np.ones(len(order), dtype=bool)
        begins[1:] = (hashes[1:] != hashes[:-1]).any(axis=1)
        places = np.arange(len(order))
        return order, np.maximum.accumulate(np.where(begins, places, 0))


def read_contents(dataset: Dataset) -> Contents:
    """Reads every record.

    Raises:
        PetalflowError: If one is damaged, or a split has more or fewer than it should.
    """
    counter = Counter("validate", sum(dataset.sizes.values()), "records")
    splits, hashes, labels = array("B"), bytearray(), array("i")
    known: dict[tuple[int, ...], int] = {}
    for index, split in enumerate(SPLITS):
        before = len(splits)
        for record in dataset.records(split):
            splits.append(index)
            hashes += blake2b(record.sha256.encode(), digest_size=_KEPT_BYTES).digest()
            labels.append(known.setdefault(record.labels, len(known)))
            counter.add()
        count = len(splits) - before
        if count != dataset.size(split):
            raise PetalflowError(f"{split} holds {count} records but should hold {dataset.size(split)}; convert again")
    return Contents(
        np.frombuffer(splits, np.uint8),
        np.frombuffer(hashes, np.uint64).reshape(-1, 2),
        np.frombuffer(labels, np.int32),
    )


def filenames(dataset: Dataset, wanted: Collection[int]) -> dict[int, str]:
    """Returns the addresses of a few images, by their place among all; reads the records again."""
    records = chain.from_iterable(dataset.records(split) for split in SPLITS)
    return {place: record.filename for place, record in enumerate(records) if place in wanted}
