"""What a model predicts for images whose classes are known."""

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from petalflow.model.task import LABEL_THRESHOLD, Task

Array = NDArray[np.bool_]
# No class of the dataset's has this index: an answer that it has no class for.
UNKNOWN = -1


@dataclass(frozen=True)
class Predictions:
    """The predictions of a model to n images.

    Attributes:
        labels: Which classes each image has, [n, classes].
        scores: Probabilities that the model gave, [n, classes].
        predicted: Which classes the model predicts, [n, classes]; none where its answer is no class of these.
        task: The task; with several labels, an image may have any number of classes.
    """

    labels: Array
    scores: NDArray[np.float32]
    predicted: Array
    task: Task

    @classmethod
    def of(cls, labels: Array, scores: NDArray[np.float32], task: Task) -> "Predictions":
        """Returns the predictions by a model's scores: the likeliest class, or each label likelier than not."""
        if task is Task.MULTI_LABEL:
            return cls(labels, scores, scores > LABEL_THRESHOLD, task)
        predicted = np.zeros_like(labels)
        predicted[np.arange(len(scores)), scores.argmax(axis=1)] = True
        return cls(labels, scores, predicted, task)

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.labels)

    @functools.cached_property
    def correct(self) -> Array:
        """Whether each answer is right, [n]; of several labels, all of them."""
        return np.asarray((self.labels == self.predicted).all(axis=1))

    @functools.cached_property
    def label_indices(self) -> NDArray[np.int64]:
        """The class of each image, [n], where it has one."""
        return np.asarray(self.labels.argmax(axis=1), np.int64)

    @functools.cached_property
    def predicted_indices(self) -> NDArray[np.int64]:
        """The class answered, [n], where one is; UNKNOWN where it is none of these."""
        return np.where(self.predicted.any(axis=1), self.predicted.argmax(axis=1), UNKNOWN)

    @functools.cached_property
    def confidence(self) -> NDArray[np.float32]:
        """The best score of each image, [n]."""
        return np.asarray(self.scores.max(axis=1))

    @property
    def strata(self) -> NDArray[np.int64]:
        """What resamples keep the numbers of, [n]: the images of each class; all images, where they have several."""
        return np.zeros(self.images, np.int64) if self.task is Task.MULTI_LABEL else self.label_indices

    def subset(self, chosen: Array) -> "Predictions":
        """Returns those to some of the images.

        Args:
            chosen: Which, [n].
        """
        return replace(self, labels=self.labels[chosen], scores=self.scores[chosen], predicted=self.predicted[chosen])


def discordant(candidate: Predictions, baseline: Predictions) -> tuple[int, int]:
    """Returns on how many images only the candidate is correct, and on how many only the baseline."""
    better, worse = candidate.correct & ~baseline.correct, baseline.correct & ~candidate.correct
    return int(better.sum()), int(worse.sum())
