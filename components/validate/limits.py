"""Checks a dataset against limits that need no reference dataset."""

from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.validate.checks import DataCheck, at_least, at_most, no_classes
from components.validate.settings import ValidateSettings
from petalflow.dataset import Dataset, index_path, read_index
from petalflow.errors import PetalflowError
from petalflow.printable import printable
from petalflow.progress import Counter
from petalflow.splits import SPLITS

# Bytes kept of each content hash: collisions remain practically impossible.
_KEPT_BYTES = 16


@dataclass(frozen=True)
class Contents:
    """The content of all records except the images, in the order of SPLITS; 21 bytes per image.

    Attributes:
        splits: Index of each image's split in SPLITS, [n].
        hashes: Hash of each image's content in the source, [n, 2].
        labels: A number for each image's set of labels, [n]; equal for equal labels.
    """

    splits: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    labels: NDArray[np.int32]

    def shared(self) -> NDArray[np.int64]:
        """Returns pairs of an image and the first identical image, if that is in an earlier split: indices, [m, 2]."""
        order, group = self._by_content(self.splits)
        first = order[group]
        found = self.splits[order] != self.splits[first]
        pairs = np.stack([order[found], first[found]], axis=1)
        return pairs[np.argsort(pairs[:, 0])]

    def conflicts(self) -> int:
        """Returns the number of images whose content also has other labels."""
        order, group = self._by_content(self.labels)
        other = self.labels[order] != self.labels[order[group]]
        return int(np.isin(group, group[other]).sum())

    def _by_content(self, within: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns an order that puts equal contents together, and for each position in it the start of its content."""
        order = np.lexsort((within, self.hashes[:, 1], self.hashes[:, 0]))
        hashes = self.hashes[order]
        starts = np.ones(len(order), dtype=bool)
        starts[1:] = (hashes[1:] != hashes[:-1]).any(axis=1)
        positions = np.arange(len(order))
        return order, np.maximum.accumulate(np.where(starts, positions, 0))


def read_contents(dataset: Dataset) -> Contents:
    """Reads every record and verifies its checksum.

    Raises:
        PetalflowError: If a record is damaged, or a split has an unexpected number of records.
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
            raise PetalflowError(f"{split} has {count} records instead of {dataset.size(split)}; convert again")
    return Contents(
        np.frombuffer(splits, np.uint8),
        np.frombuffer(hashes, np.uint64).reshape(-1, 2),
        np.frombuffer(labels, np.int32),
    )


def read_addresses(dataset: Dataset, indices: Collection[int]) -> dict[int, str]:
    """Returns the addresses of some images by their index among all images; reads the records again."""
    records = chain.from_iterable(dataset.records(split) for split in SPLITS)
    return {index: record.filename for index, record in enumerate(records) if index in indices}


_CONFLICT = "conflicting_labels"  # reason of the rejects


def check_limits(dataset: Dataset, contents: Contents, settings: ValidateSettings) -> Iterator[DataCheck]:
    """Yields a check for each limit that is set."""
    yield from _check_classes(dataset, settings)
    yield from _check_counts(dataset, settings)
    yield from _check_sizes(dataset, settings)
    yield from _check_source(dataset, contents, settings)
    if settings.max_shared_images is not None:
        yield at_most("max_shared_images", "", len(contents.shared()), settings.max_shared_images)


def images_per_class(dataset: Dataset) -> dict[str, int]:
    """Returns the number of images of each class in all splits; an image of several classes counts in each."""
    return {name: sum(counts[name] for counts in dataset.counts.values()) for name in dataset.classes}


def _check_classes(dataset: Dataset, settings: ValidateSettings) -> Iterator[DataCheck]:
    present = {name for name, count in images_per_class(dataset).items() if count}
    if settings.min_classes is not None:
        yield at_least("min_classes", "", len(present), settings.min_classes)
    if settings.classes is not None:
        expected = set(settings.classes)
        yield no_classes("classes", "missing", expected - present)
        if not settings.allow_new_classes:
            yield no_classes("classes", "new", present - expected)


def _check_counts(dataset: Dataset, settings: ValidateSettings) -> Iterator[DataCheck]:
    images = sum(dataset.sizes.values())
    if settings.min_images is not None:
        yield at_least("min_images", "", images, settings.min_images)
    if settings.max_images is not None:
        yield at_most("max_images", "", images, settings.max_images)
    total = images_per_class(dataset)
    minimums = (settings.min_train_images, settings.min_validation_images, settings.min_test_images)
    for split, minimum in zip(SPLITS, minimums, strict=True):
        if minimum is None:
            continue
        counts = dataset.counts.get(split, {})
        for name in dataset.classes:
            note = f"the class has {total[name]} images in all"
            yield at_least(f"min_{split}_images", f"{name} in {split}", counts.get(name, 0), minimum, note)
    if settings.max_imbalance is not None:
        largest, smallest = max(total, key=total.__getitem__), min(total, key=total.__getitem__)
        ratio = total[largest] / max(1, total[smallest])  # a class without images counts as one image
        yield at_most("max_imbalance", f"{largest} to {smallest}", ratio, settings.max_imbalance)


def _check_sizes(dataset: Dataset, settings: ValidateSettings) -> Iterator[DataCheck]:
    minimum = settings.min_short_side_px
    if minimum is None:
        return
    # The index has the exact sizes, and reading it is a hundred times faster than reading the image headers.
    shards = [path.name for split in SPLITS for path in dataset.paths(split)]
    try:
        images = (entry.statistics for shard in shards for entry in read_index(index_path(dataset.root, shard)))
        small = sum(min(image.width_px, image.height_px) < minimum for image in images)
    except FileNotFoundError:
        raise PetalflowError(
            f"{dataset.root} has no index of its records, so validate.min_short_side_px cannot be checked; "
            "convert again, or set it to null"
        ) from None
    share = small / sum(dataset.sizes.values())
    yield at_most("max_small_share", f"shorter side under {minimum} px", share, settings.max_small_share)


def _check_source(dataset: Dataset, contents: Contents, settings: ValidateSettings) -> Iterator[DataCheck]:
    images, rejects = dataset.statistics["images"], dataset.statistics["rejects"]
    commonest = _describe_commonest(dataset.statistics)
    if settings.max_reject_share is not None:
        yield at_most("max_reject_share", "", sum(rejects.values()) / images, settings.max_reject_share, commonest)
    if settings.max_class_reject_share is not None:
        yield from _check_class_rejects(dataset.statistics, settings.max_class_reject_share)
    if settings.max_conflict_share is not None:
        conflicts = rejects.get(_CONFLICT, 0) + contents.conflicts()  # rejected, or kept by convert.conflicts=keep
        yield at_most("max_conflict_share", "", conflicts / images, settings.max_conflict_share)


def _check_class_rejects(statistics: Mapping[str, Any], limit: float) -> Iterator[DataCheck]:
    images = statistics.get("images_by_class", {})  # older datasets lack it
    for name, rejected in statistics["rejects_by_class"].items() if images else ():
        note = f"{rejected} of {images[name]}"
        yield at_most("max_class_reject_share", name, rejected / images[name], limit, note)


def _describe_commonest(statistics: Mapping[str, Any]) -> str:
    """Returns the commonest reason of the rejects, with an example, or "" without rejects."""
    rejects = statistics["rejects"]
    if not rejects:
        return ""
    reason = max(rejects, key=rejects.__getitem__)
    described = f"{rejects[reason]} of {sum(rejects.values())} are {reason}"
    example = statistics.get("reject_examples", {}).get(reason)  # older datasets lack it
    return (
        f"{described}, such as {printable(example['address'])}: {printable(example['sentence'])}"
        if example
        else described
    )
