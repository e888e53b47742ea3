"""The images that a candidate is evaluated on, without their pixels: those of the test split that it never saw."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices import Slices, find_slices
from petalflow import registry
from petalflow.dataset import Dataset, Entry, Record
from petalflow.errors import PetalflowError


@dataclass(frozen=True)
class WarmStart:
    """The release from which a model's training started, if any: the model has seen that release's training images.

    Attributes:
        name: NAME/VERSION, for people; "" without a warm start.
        trained_on: Content hashes of the images that it and its own warm-start releases were trained on; empty if
            unknown.
        is_known: True if these are known.
    """

    name: str = ""
    trained_on: Collection[str] = frozenset()
    is_known: bool = True

    @classmethod
    def of(cls, model_info: Mapping[str, Any]) -> Self:
        """Returns the warm start that model.json records."""
        uri = model_info.get("warm_started_from") or ""
        if not uri:
            return cls()
        hashes = registry.training_hashes_at(uri)
        return cls("/".join(uri.rstrip("/").split("/")[-2:]), hashes or frozenset(), hashes is not None)

    @property
    def unknown(self) -> str:
        """The message where its training images are unknown."""
        return (
            f"training started from {self.name}, whose training images are unknown and may be among these test images"
        )

    def notes(self, left_out: int) -> Iterator[str]:
        """Yields the notes for a verdict.

        Args:
            left_out: How many images of the test split were left out because of it.
        """
        if not self.is_known:
            yield self.unknown
        elif left_out:
            yield f"{left_out} test images were left out: {self.name}, from which training started, was trained on them"


@dataclass(frozen=True)
class EvaluatedImages:
    """The images of the test split that the candidate was not trained on.

    Attributes:
        entries: Their index entries, in record order, [n].
        labels: The classes of each image, [n, classes].
        slices: Parts of them.
        kept: True for the records of the split that are among them, [all records].
    """

    entries: Sequence[Entry]
    labels: NDArray[np.bool_]
    slices: Slices
    kept: NDArray[np.bool_]

    @classmethod
    def of(cls, dataset: Dataset, settings: EvaluateSettings, known: Collection[str] = ()) -> "EvaluatedImages":
        """Returns the evaluated images of a dataset.

        Args:
            dataset: The dataset.
            settings: The settings of evaluate.
            known: Content hashes of images to leave out.

        Raises:
            PetalflowError: If a class has no images, or there are none at all.
            UsageError: If the settings cross unknown kinds of slices.
        """
        of_split = list(dataset.entries("test"))
        kept = np.array([entry.sha256 not in known for entry in of_split], bool)
        entries = list(compress(of_split, kept))
        labels = label_matrix(entries, len(dataset.classes))
        of_classes = dict(zip(dataset.classes, labels.T, strict=True))
        _check_all_present(dataset, of_classes, len(of_split) - len(entries))
        return cls(entries, labels, find_slices(entries, of_classes, settings.slice_pairs), kept)

    def records(self, dataset: Dataset) -> Iterator[Record]:
        """Yields their records, with pixels.

        Args:
            dataset: The dataset they come from.
        """
        return compress(dataset.records("test"), self.kept)

    @property
    def left_out(self) -> int:
        """How many images of the split were left out."""
        return int((~self.kept).sum())


def label_matrix(entries: Sequence[Entry], classes: int) -> NDArray[np.bool_]:
    """Returns the classes of each image, [n, classes]."""
    labels = np.zeros((len(entries), classes), bool)
    for row, entry in zip(labels, entries, strict=True):
        row[list(entry.labels)] = True
    return labels


def _check_all_present(dataset: Dataset, of_classes: Mapping[str, NDArray[np.bool_]], left_out: int) -> None:
    absent = [name for name, images in of_classes.items() if not images.any()]
    if not absent:
        return
    besides = f" besides {left_out} that its warm-start release was trained on" if left_out else ""
    if len(absent) == len(of_classes):
        raise PetalflowError(f"{dataset.root} has no test images{besides}, so no model can be evaluated; add images")
    raise PetalflowError(
        f"{dataset.root} has no test images of {', '.join(absent)}{besides}, so these classes cannot be evaluated; "
        "add images of them, or remove the classes"
    )
