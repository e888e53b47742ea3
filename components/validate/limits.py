"""Limits that a dataset keeps or breaks by itself, without another to compare it with."""

from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from components.validate.checks import Check, at_least, at_most, none_of
from components.validate.settings import ValidateSettings
from petalflow.dataset import Dataset, index_path, read_index
from petalflow.errors import PetalflowError
from petalflow.progress import Counter
from petalflow.splits import SPLITS

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


_CONFLICT = "conflicting_labels"  # the reason of rejects


def check_limits(dataset: Dataset, contents: Contents, settings: ValidateSettings) -> Iterator[Check]:
    """Yields a check for each limit that is set."""
    yield from _check_classes(dataset, settings)
    yield from _check_counts(dataset, settings)
    yield from _check_sizes(dataset, settings)
    yield from _check_source(dataset, contents, settings)
    if settings.max_shared_images is not None:
        yield at_most("max_shared_images", "", len(contents.shared()), settings.max_shared_images)


def images_of_classes(dataset: Dataset) -> dict[str, int]:
    """Returns the images of each class in all splits; of several classes, an image counts for each."""
    return {name: sum(of[name] for of in dataset.counts.values()) for name in dataset.classes}


def _check_classes(dataset: Dataset, settings: ValidateSettings) -> Iterator[Check]:
    present = {name for name, count in images_of_classes(dataset).items() if count}
    if settings.min_classes is not None:
        yield at_least("min_classes", "", len(present), settings.min_classes)
    if settings.classes is not None:
        expected = set(settings.classes)
        yield none_of("classes", "missing", expected - present)
        if not settings.allow_new_classes:
            yield none_of("classes", "new", present - expected)


def _check_counts(dataset: Dataset, settings: ValidateSettings) -> Iterator[Check]:
    images = sum(dataset.sizes.values())
    if settings.min_images is not None:
        yield at_least("min_images", "", images, settings.min_images)
    if settings.max_images is not None:
        yield at_most("max_images", "", images, settings.max_images)
    floors = (settings.min_train_images, settings.min_validation_images, settings.min_test_images)
    for split, floor in zip(SPLITS, floors, strict=True):
        if floor is None:
            continue
        of_split = dataset.counts.get(split, {})
        for name in dataset.classes:
            yield at_least(f"min_{split}_images", f"{name} in {split}", of_split.get(name, 0), floor)
    if settings.max_imbalance is not None:
        by_class = images_of_classes(dataset)
        largest, smallest = max(by_class, key=by_class.__getitem__), min(by_class, key=by_class.__getitem__)
        ratio = by_class[largest] / max(1, by_class[smallest])  # of no images at all: as if it were one
        yield at_most("max_imbalance", f"{largest} to {smallest}", ratio, settings.max_imbalance)


def _check_sizes(dataset: Dataset, settings: ValidateSettings) -> Iterator[Check]:
    least = settings.min_short_side_px
    if least is None:
        return
    # The index knows each side exactly, and is read a hundred times faster than the images' headers.
    shards = [path.name for split in SPLITS for path in dataset.paths(split)]
    try:
        measures = (entry.measure for shard in shards for entry in read_index(index_path(dataset.root, shard)))
        small = sum(min(measure.width_px, measure.height_px) < least for measure in measures)
    except FileNotFoundError:
        raise PetalflowError(
            f"{dataset.root} has no index of its records, so validate.min_short_side_px cannot be checked; "
            "convert again, or set it to null"
        ) from None
    share = small / sum(dataset.sizes.values())
    yield at_most("max_small_share", f"short side under {least} px", share, settings.max_small_share)


def _check_source(dataset: Dataset, contents: Contents, settings: ValidateSettings) -> Iterator[Check]:
    images, rejects = dataset.statistics["images"], dataset.statistics["rejects"]
    if settings.max_reject_share is not None:
        yield at_most("max_reject_share", "", sum(rejects.values()) / images, settings.max_reject_share)
    if settings.max_conflict_share is not None:
        conflicts = rejects.get(_CONFLICT, 0) + contents.conflicts()  # rejected or, with convert.conflicts=keep, kept
        yield at_most("max_conflict_share", "", conflicts / images, settings.max_conflict_share)
