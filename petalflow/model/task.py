"""The task of a classifier: one of two classes, one of many, or any number of them."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

# A sigmoid above this predicts its label.
LABEL_THRESHOLD = 0.5
# A float32 sigmoid closer to 0 or 1 than this is rounded so coarsely that its logit is meaningless.
SATURATED = 1e-6
# Lower bound of a softmax output before its logarithm is taken as the logit.
SMALLEST = 1e-30


class Task(StrEnum):
    """The task determines the last layer, the loss, and how to read outputs.

    binary: one sigmoid, the probability of the second class. multi_class: a softmax. multi_label: a sigmoid per class.
    """

    BINARY = "binary"
    MULTI_CLASS = "multi_class"
    MULTI_LABEL = "multi_label"

    @classmethod
    def of(cls, classes: int, *, multi_label: bool) -> "Task":
        """Returns the task of a dataset with this number of classes."""
        if multi_label:
            return cls.MULTI_LABEL
        return cls.BINARY if classes == 2 else cls.MULTI_CLASS

    @property
    def activation(self) -> str:
        """The activation of the last layer."""
        return "softmax" if self is Task.MULTI_CLASS else "sigmoid"

    def units(self, classes: int) -> int:
        """Returns the number of units of the last layer."""
        return 1 if self is Task.BINARY else classes


def class_scores(outputs: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    """Returns the score of each class, [n, classes], 0..1, from a model's outputs, [n, units]."""
    return np.concatenate([1 - outputs, outputs], axis=1) if task is Task.BINARY else outputs


def apply_temperature(scores: NDArray[np.float32], temperature: float, task: Task) -> NDArray[np.float32]:
    """Returns the scores of the logits divided by a temperature.

    Args:
        scores: Probabilities, [n, classes].
        temperature: Above 0; 1 changes nothing.
        task: The task, which determines the logits.
    """
    if temperature == 1:
        return scores
    scores = scores.clip(SMALLEST, 1) if task is Task.MULTI_CLASS else scores.clip(SATURATED, 1 - SATURATED)
    power = 1 / temperature
    powers = scores.astype(np.float64) ** power
    several = task is Task.MULTI_LABEL  # each label and its absence add up to 1
    total = powers + (1 - scores.astype(np.float64)) ** power if several else powers.sum(axis=1, keepdims=True)
    return np.asarray(powers / total, np.float32)
