import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.train.devices import Devices
from components.train.feeding import Batching, KeptFeed
from components.train.learning import Learning, make_optimizer
from components.train.objective import Objective
from components.train.settings import TrainSettings
from components.train.steps import Steps
from petalflow.model.task import Task

ONE = Devices(tf.distribute.get_strategy(), compiled=False, whole_batches=False, policy="float32")
CLASSES, BATCH, STEPS = 3, 8, 3


def rates(learning: Learning, steps: int, at: list[int]) -> list[float]:
    schedule = learning.schedule(steps)
    return [float(schedule(step)) for step in at]


def test_a_rate_without_schedule_stays() -> None:
    assert rates(Learning(0.01, 0, False, 5), 10, [0, 25, 50, 99]) == pytest.approx([0.01] * 4)


def test_a_warm_up_is_linear_and_a_cosine_follows() -> None:
    # 2 epochs of 10 steps up, then 40 steps down.
    found = rates(Learning(0.01, 2, True, 6), 10, [0, 5, 10, 20, 30, 40, 60, 99])
    cosine = [0.01 * (1 + math.cos(math.pi * share)) / 2 for share in (0, 0.25, 0.5, 1, 1)]
    assert found == pytest.approx([0, 0.0025, 0.005, *cosine], abs=1e-8)


def test_a_warm_up_alone_stays_at_the_top_and_may_last_part_of_an_epoch() -> None:
    assert rates(Learning(0.01, 0.5, False, 6), 10, [0, 1, 5, 30]) == pytest.approx([0, 0.002, 0.01, 0.01])


def test_a_warm_up_longer_than_the_training_is_cut_short_and_nothing_fails() -> None:
    assert rates(Learning(0.01, 9, True, 2), 10, [0, 10, 20]) == pytest.approx([0, 0.01 / 9, 0.02 / 9])


def test_the_rate_of_an_epoch_is_that_in_its_middle_and_never_0() -> None:
    falling = Learning(0.01, 1, True, 3)
    expected = [0.005, *(0.01 * (1 + math.cos(math.pi * share)) / 2 for share in (0.25, 0.75))]
    assert [falling.rate_in(epoch, 10) for epoch in range(3)] == pytest.approx(expected, rel=1e-5)
    assert all(falling.rate_in(epoch, 1) > 0 for epoch in range(3))


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
def test_steps_are_those_that_keras_fit_takes(name: str) -> None:
    settings = TrainSettings(optimizer=name, learning_rate=0.01, weight_decay=0.1, momentum=0.8)
    learning = Learning(0.01, 0, True, 2)
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(BATCH * STEPS, 5)).astype(np.float32)
    labels = generator.integers(0, CLASSES, BATCH * STEPS)
    ours, theirs = (_network() for _ in range(2))
    start = [np.array(weights) for weights in ours.get_weights()]

    optimizer = make_optimizer(settings, learning, STEPS)
    optimizer.build(ours.trainable_variables)
    feed = KeptFeed(inputs, labels, CLASSES, Batching(BATCH, 0))
    steps = Steps(ours, optimizer, Objective(Task.MULTI_CLASS, CLASSES, 0.1), ONE)
    in_order = feed.scoring()
    assert sum(count for count, _ in steps.run(in_order, STEPS, training=True)) == STEPS

    theirs.compile(_KERAS[name](learning.schedule(STEPS)), keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    theirs.fit(inputs, np.eye(CLASSES)[labels], batch_size=BATCH, shuffle=False, verbose=0)
    for mine, other, before in zip(ours.get_weights(), theirs.get_weights(), start, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)
        assert np.abs(mine - before).max() > 1e-3


_KERAS = {
    "adam": keras.optimizers.Adam,
    "adamw": lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.1),
    "rmsprop": lambda rate: keras.optimizers.RMSprop(rate, momentum=0.8),
    "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.8, nesterov=True),
}


def _network() -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.Input((5,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(CLASSES, "softmax")]
    return keras.Sequential(layers)
