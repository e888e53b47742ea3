"""Predictions made up by a seed, to measure."""

import numpy as np

from petalflow.metrics.predictions import Predictions
from petalflow.model.task import Task


def made_up(images: int = 300, classes: int = 4, skill: float = 2.0, seed: int = 0) -> Predictions:
    """Returns predictions of one class per image, which are correct more often the higher `skill` is."""
    generator = np.random.default_rng(seed)
    labels = np.eye(classes, dtype=bool)[generator.integers(0, classes, images)]
    return Predictions.of(labels, softmax(generator.normal(size=labels.shape) + skill * labels), Task.MULTI_CLASS)


def made_up_labels(images: int = 300, classes: int = 4, skill: float = 2.0, seed: int = 0) -> Predictions:
    """Returns predictions of several labels per image."""
    generator = np.random.default_rng(seed)
    labels = generator.random((images, classes)) < 0.4
    logits = generator.normal(size=labels.shape) + skill * (labels - 0.5)
    return Predictions.of(labels, (1 / (1 + np.exp(-logits))).astype(np.float32), Task.MULTI_LABEL)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
