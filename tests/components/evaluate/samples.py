"""Answers made up by a seed, to measure."""

import numpy as np

from petalflow.metrics.predictions import Answers
from petalflow.model.task import Task


def made_up(images: int = 300, classes: int = 4, skill: float = 2.0, seed: int = 0) -> Answers:
    """Returns answers of one class an image, the more often right the more skill."""
    generator = np.random.default_rng(seed)
    truth = np.eye(classes, dtype=bool)[generator.integers(0, classes, images)]
    return Answers.of(truth, softmax(generator.normal(size=truth.shape) + skill * truth), Task.MULTI_CLASS)


def made_up_labels(images: int = 300, classes: int = 4, skill: float = 2.0, seed: int = 0) -> Answers:
    """Returns answers of several labels an image."""
    generator = np.random.default_rng(seed)
    truth = generator.random((images, classes)) < 0.4
    logits = generator.normal(size=truth.shape) + skill * (truth - 0.5)
    return Answers.of(truth, (1 / (1 + np.exp(-logits))).astype(np.float32), Task.MULTI_LABEL)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
