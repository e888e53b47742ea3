import math

import keras
import numpy as np
import pytest

from components.train.objective import Objective
from petalflow.model.task import Task

GENERATOR = np.random.default_rng(0)
CLASSES, IMAGES = 4, 9
LABELS = {
    Task.BINARY: GENERATOR.integers(0, 2, IMAGES),
    Task.MULTI_CLASS: GENERATOR.integers(0, CLASSES, IMAGES),
    Task.MULTI_LABEL: GENERATOR.integers(0, 2, (IMAGES, CLASSES)),
}


def outputs_for(task: Task) -> np.ndarray:
    values = np.random.default_rng(1).uniform(0.02, 0.98, (IMAGES, task.units(CLASSES))).astype(np.float32)
    return values / values.sum(axis=1, keepdims=True) if task is Task.MULTI_CLASS else values


def keras_loss(task: Task, smoothing: float) -> keras.losses.Loss:
    if task is Task.MULTI_CLASS:
        return keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    return keras.losses.BinaryCrossentropy(label_smoothing=smoothing)


def keras_labels(task: Task) -> np.ndarray:
    labels = LABELS[task]
    if task is Task.MULTI_CLASS:
        return np.eye(CLASSES)[labels]
    return labels[:, None] if task is Task.BINARY else labels


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_weighted_loss_is_keras_own(task: Task, smoothing: float) -> None:
    weights = np.random.default_rng(2).uniform(0, 2, IMAGES).astype(np.float32)
    losses = np.asarray(Objective(task, CLASSES, smoothing).losses(LABELS[task], outputs_for(task)))
    assert losses.shape == (IMAGES,)
    whole = keras_loss(task, smoothing)(keras_labels(task), outputs_for(task), sample_weight=weights)
    assert (losses * weights).mean() == pytest.approx(float(whole), rel=1e-5)


@pytest.mark.parametrize("task", Task)
def test_right_answers_are_those_of_keras_accuracy(task: Task) -> None:
    metric = keras.metrics.CategoricalAccuracy() if task is Task.MULTI_CLASS else keras.metrics.BinaryAccuracy()
    metric.update_state(keras_labels(task), outputs_for(task))
    right = np.asarray(Objective(task, CLASSES, 0).right(LABELS[task], outputs_for(task)))
    assert right.shape == (IMAGES,)
    assert 0 < right.mean() < 1
    assert right.mean() == pytest.approx(float(metric.result()))


def test_who_guesses_loses_so_much() -> None:
    for task in Task:
        objective = Objective(task, CLASSES, 0)
        even = np.full((IMAGES, task.units(CLASSES)), 1 / CLASSES if task is Task.MULTI_CLASS else 0.5, np.float32)
        assert np.asarray(objective.losses(LABELS[task], even)) == pytest.approx(objective.guess, rel=1e-5)
    assert Objective(Task.MULTI_CLASS, CLASSES, 0).guess == math.log(4)
