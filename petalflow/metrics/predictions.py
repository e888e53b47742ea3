"""What a model predicts for images whose classes are known."""

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from petalflow.model.task import LABEL_THRESHOLD, Task

Array = NDArray[np.bool_]
# Index of a predicted class that the dataset does not have.
UNKNOWN = -1


@dataclass(frozen=True)
class Predictions:
    """A model's predictions for n images.

    Attributes:
        labels: The classes of each image, [n, classes].
        scores: Probabilities, [n, classes], 0..1.
        predicted: The predicted classes, [n, classes]; none where the predicted class is not in the dataset.
        task: The task; with several labels, an image may have any number of classes.
    """

    labels: Array
    scores: NDArray[np.float32]
    predicted: Array
    task: Task

    @classmethod
    def of(cls, labels: Array, scores: NDArray[np.float32], task: Task) -> "Predictions":
        """Returns the predictions by scores: the class with the top score, or each label above `LABEL_THRESHOLD`."""
        if task is Task.MULTI_LABEL:
            return cls(labels, scores, scores > LABEL_THRESHOLD, task)
        predicted = np.zeros_like(labels)
        predicted[np.arange(len(scores)), scores.argmax(axis=1)] = True
        return cls(labels, scores, predicted, task)

    @property
    def images(self) -> int:
        """The number of images."""
        return len(self.labels)

    @functools.cached_property
    def correct(self) -> Array:
        """True where a prediction is correct, [n]; with several labels, where all of them are."""
        return np.asarray((self.labels == self.predicted).all(axis=1))

    @functools.cached_property
    def label_indices(self) -> NDArray[np.int64]:
        """The class of each image, [n]; only for one class per image."""
        return np.asarray(self.labels.argmax(axis=1), np.int64)

    @functools.cached_property
    def predicted_indices(self) -> NDArray[np.int64]:
        """The predicted class, [n]; UNKNOWN where it is not in the dataset; only for one class per image."""
        return np.where(self.predicted.any(axis=1), self.predicted.argmax(axis=1), UNKNOWN)

    @functools.cached_property
    def confidence(self) -> NDArray[np.float32]:
        """The top score of each image, [n]."""
        return np.asarray(self.scores.max(axis=1))

    @property
    def strata(self) -> NDArray[np.int64]:
        """The stratum of each image, [n], whose size resamples keep: its class; one stratum with several labels."""
        return np.zeros(self.images, np.int64) if self.task is Task.MULTI_LABEL else self.label_indices

    def subset(self, chosen: Array) -> "Predictions":
        """Returns the predictions for some of the images.

        Args:
            chosen: True for these images, [n].
        """
        return replace(self, labels=self.labels[chosen], scores=self.scores[chosen], predicted=self.predicted[chosen])


def discordant(candidate: Predictions, baseline: Predictions) -> tuple[int, int]:
    """Returns on how many images only the candidate is correct, and on how many only the baseline."""
    better, worse = candidate.correct & ~baseline.correct, baseline.correct & ~candidate.correct
    return int(better.sum()), int(worse.sum())
