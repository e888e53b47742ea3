"""What a model answered to images whose classes are known."""

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from petalflow.model.task import LABEL_THRESHOLD, Task

Array = NDArray[np.bool_]
# No class of the dataset's has this index: an answer that it has no class for.
UNKNOWN = -1


@dataclass(frozen=True)
class Answers:
    """The answers of a model to n images.

    Attributes:
        truth: Which classes each image has, [n, classes].
        scores: Probabilities that the model gave, [n, classes].
        given: Which classes the model answered with, [n, classes]; none where its answer is no class of these.
        task: What was asked.
    """

    truth: Array
    scores: NDArray[np.float32]
    given: Array
    task: Task

    @classmethod
    def of(cls, truth: Array, scores: NDArray[np.float32], task: Task) -> "Answers":
        """Returns the answers that a model's scores amount to: the likeliest class, or each label likelier than not."""
        if task is Task.MULTI_LABEL:
            return cls(truth, scores, scores > LABEL_THRESHOLD, task)
        given = np.zeros_like(truth)
        given[np.arange(len(scores)), scores.argmax(axis=1)] = True
        return cls(truth, scores, given, task)

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.truth)

    @functools.cached_property
    def right(self) -> Array:
        """Whether each answer is right, [n]; of several labels, all of them."""
        return np.asarray((self.truth == self.given).all(axis=1))

    @functools.cached_property
    def labels(self) -> NDArray[np.int64]:
        """The class of each image, [n], where it has one."""
        return np.asarray(self.truth.argmax(axis=1), np.int64)

    @functools.cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The class answered, [n], where one is; UNKNOWN where it is none of these."""
        return np.where(self.given.any(axis=1), self.given.argmax(axis=1), UNKNOWN)

    @functools.cached_property
    def confidence(self) -> NDArray[np.float32]:
        """The best score of each image, [n]."""
        return np.asarray(self.scores.max(axis=1))

    @property
    def strata(self) -> NDArray[np.int64]:
        """What resamples keep the numbers of, [n]: the images of each class; all images, where they have several."""
        return np.zeros(self.images, np.int64) if self.task is Task.MULTI_LABEL else self.labels

    def of_images(self, chosen: Array) -> "Answers":
        """Returns those to some of the images.

        Args:
            chosen: Which, [n].
        """
        return replace(self, truth=self.truth[chosen], scores=self.scores[chosen], given=self.given[chosen])
