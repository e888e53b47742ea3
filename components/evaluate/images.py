"""The images that a candidate is judged on, without their pixels."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices import Slices, slices_of
from petalflow.dataset import Dataset, Entry, Record
from petalflow.errors import PetalflowError


@dataclass(frozen=True)
class EvaluatedImages:
    """The test split, but for images that the candidate was trained on.

    Attributes:
        entries: What is known of each image, in record order, [n].
        labels: Which classes each has, [n, classes].
        slices: Parts of it.
        kept: Which records of the split these are, [all records].
    """

    entries: Sequence[Entry]
    labels: NDArray[np.bool_]
    slices: Slices
    kept: NDArray[np.bool_]

    @classmethod
    def of(cls, dataset: Dataset, settings: EvaluateSettings, known: Collection[str] = ()) -> "EvaluatedImages":
        """Returns those of a dataset.

        Args:
            dataset: The dataset.
            settings: Of evaluate.
            known: Content hashes of images that are left out.

        Raises:
            PetalflowError: If there are no images of a class, or none at all.
            UsageError: If the settings cross kinds of slices that there are not.
        """
        of_split = list(dataset.entries("test"))
        kept = np.array([entry.sha256 not in known for entry in of_split], bool)
        entries = list(compress(of_split, kept))
        labels = label_matrix(entries, len(dataset.classes))
        of_classes = dict(zip(dataset.classes, labels.T, strict=True))
        _check_all_present(dataset, of_classes, len(of_split) - len(entries))
        return cls(entries, labels, slices_of(entries, of_classes, settings.slice_pairs), kept)

    def records(self, dataset: Dataset) -> Iterator[Record]:
        """Yields the record of each, pixels and all.

        Args:
            dataset: The one that they are of.
        """
        return compress(dataset.records("test"), self.kept)

    @property
    def left_out(self) -> int:
        """How many images of the split are not among these."""
        return int((~self.kept).sum())


def label_matrix(entries: Sequence[Entry], classes: int) -> NDArray[np.bool_]:
    """Returns which classes each of n images has, [n, classes]."""
    labels = np.zeros((len(entries), classes), bool)
    for row, entry in zip(labels, entries, strict=True):
        row[list(entry.labels)] = True
    return labels


def _check_all_present(dataset: Dataset, of_classes: Mapping[str, NDArray[np.bool_]], left_out: int) -> None:
    absent = [name for name, images in of_classes.items() if not images.any()]
    if not absent:
        return
    but = f" but {left_out} that the release it began with was trained on" if left_out else ""
    if len(absent) == len(of_classes):
        raise PetalflowError(f"{dataset.root} has no test images{but}, so nothing can be said of the model; add images")
    raise PetalflowError(
        f"{dataset.root} has no test images of {', '.join(absent)}{but}, so nothing can be said of it; "
        "add images of it, or leave the class out"
    )
