"""The confusion matrix as the report shows it: each cell with the pictures there are of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from petalflow.metrics.predictions import Predictions

# A matrix of more classes than this is no longer read; its largest cells are.
MOST_CLASSES = 30
_MOST_CONFUSIONS = 50


@dataclass(frozen=True)
class Cell:
    """The images of one class that were answered with one class.

    Attributes:
        actual: The class they are of.
        predicted: The class answered.
        count: How many there are.
        share: Of the images of that class, 0..1.
        shown: Indices of those shown, the most confident predictions first.
    """

    actual: int
    predicted: int
    count: int
    share: float
    shown: Sequence[int]

    @property
    def correct(self) -> bool:
        """Whether the answer is right."""
        return self.actual == self.predicted


def cells(
    confusion: NDArray[np.int64], predictions: Predictions, images: Collection[int]
) -> dict[tuple[int, int], Cell]:
    """Returns the cells that are not empty, by actual and predicted class.

    Args:
        confusion: Counts, [actual, predicted].
        predictions: To the test images.
        images: Indices of the images that there are pictures of.
    """
    labels, predicted, confidence = predictions.label_indices, predictions.predicted_indices, predictions.confidence
    shown: dict[tuple[int, int], list[int]] = {}
    for image in sorted(images, key=lambda image: -confidence[image]):
        shown.setdefault((int(labels[image]), int(predicted[image])), []).append(image)
    sizes = confusion.sum(axis=1)
    found = {}
    for actual, said in np.argwhere(confusion).tolist():
        count = int(confusion[actual, said])
        found[actual, said] = Cell(actual, said, count, count / int(sizes[actual]), shown.get((actual, said), []))
    return found


def commonest(found: Mapping[tuple[int, int], Cell]) -> list[Cell]:
    """Returns the cells with the most wrong predictions, the largest first."""
    wrong = [cell for cell in found.values() if not cell.correct]
    return sorted(wrong, key=lambda cell: -cell.count)[:_MOST_CONFUSIONS]
