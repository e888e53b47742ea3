"""What a classifier is asked: which of two, which of many, or which ones."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Task(StrEnum):
    """The question decides the last layer, the loss, and how outputs are read.

    binary: one sigmoid, the probability of the second class. multi_class: a softmax. multi_label: a sigmoid a class.
    """

    BINARY = "binary"
    MULTI_CLASS = "multi_class"
    MULTI_LABEL = "multi_label"

    @classmethod
    def of(cls, classes: int, *, multi_label: bool) -> "Task":
        """Returns the task of a dataset, by the number of its classes."""
        if multi_label:
            return cls.MULTI_LABEL
        return cls.BINARY if classes == 2 else cls.MULTI_CLASS

    @property
    def activation(self) -> str:
        """Of the last layer."""
        return "softmax" if self is Task.MULTI_CLASS else "sigmoid"

    def units(self, classes: int) -> int:
        """Returns the units of the last layer."""
        return 1 if self is Task.BINARY else classes


def class_scores(outputs: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    """Returns the score of each class, [n, classes], 0..1, from a model's outputs, [n, units]."""
    return np.concatenate([1 - outputs, outputs], axis=1) if task is Task.BINARY else outputs
