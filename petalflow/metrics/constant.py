"""The best constant prediction: what a model that ignores the image can reach."""

from dataclasses import dataclass

import numpy as np

from petalflow.metrics.predictions import Array, Predictions
from petalflow.model.task import Task


@dataclass(frozen=True)
class Constant:
    """The same prediction for every image.

    Attributes:
        classes: Indices of the predicted classes; one, unless an image may have several labels.
        correct: True where it is correct, [n].
    """

    classes: tuple[int, ...]
    correct: Array


def best_constant(predictions: Predictions) -> Constant:
    """Returns the constant prediction that is correct most often: the most frequent class, or set of classes.

    A guess by chance is never correct more often than this, whatever the odds of the guess.

    Args:
        predictions: Predictions for every image of a test split; only their labels count.
    """
    labels = predictions.labels
    if predictions.task is not Task.MULTI_LABEL:
        most_frequent = int(labels.sum(axis=0).argmax())
        return Constant((most_frequent,), labels[:, most_frequent])
    packed = np.packbits(labels, axis=1)
    _, first, images = np.unique(packed, axis=0, return_index=True, return_counts=True)
    chosen = labels[first[images.argmax()]]
    return Constant(tuple(int(at) for at in np.flatnonzero(chosen)), np.asarray((labels == chosen).all(axis=1)))
