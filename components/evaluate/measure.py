"""What is measured of scores on a test split. No TensorFlow here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from petalflow.verdict import wilson_interval

Labels = NDArray[np.int64]
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Proportion:
    """A proportion with its two-sided 95 % interval (Wilson).

    Attributes:
        successes: 0..trials.
        trials: How many there were.
    """

    successes: int
    trials: int

    @property
    def value(self) -> float | None:
        """The proportion, or None without trials."""
        return self.successes / self.trials if self.trials else None

    def to_json(self) -> dict[str, Any]:
        """Returns value, interval and counts."""
        low, high = wilson_interval(self.successes, self.trials)
        return {"value": self.value, "low": low, "high": high, "successes": self.successes, "trials": self.trials}


@dataclass(frozen=True)
class Measurement:
    """Figures of one model on a test split.

    Attributes:
        accuracy: Share of images whose best-scored class is theirs.
        recalls: The same for the images of each class.
        confusion: Counts [actual, predicted].
    """

    accuracy: Proportion
    recalls: dict[str, Proportion]
    confusion: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain values."""
        return {
            "accuracy": self.accuracy.to_json(),
            "recalls": {name: recall.to_json() for name, recall in self.recalls.items()},
            "confusion": self.confusion.tolist(),
        }


def measure(labels: Labels, predicted: Labels, classes: Sequence[str]) -> Measurement:
    """Returns the figures of predictions.

    Args:
        labels: Actual classes, [n].
        predicted: Predicted classes, [n].
        classes: Names of the classes that labels index.
    """
    confusion = confusion_matrix(labels, predicted, labels=range(len(classes)))
    # Counted from the labels, not the matrix, which has no column for an answer of no known class.
    recalls = {
        name: Proportion(int(confusion[index, index]), int((labels == index).sum()))
        for index, name in enumerate(classes)
    }
    return Measurement(Proportion(int(np.trace(confusion)), len(labels)), recalls, confusion)


def most_confident_mistakes(labels: Labels, scores: Scores, limit: int) -> list[int]:
    """Returns the indices of wrongly classified images, the most confident first."""
    predicted = scores.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    return [int(index) for index in wrong[np.argsort(-scores[wrong].max(axis=1), kind="stable")][:limit]]
