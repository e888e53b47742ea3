import math
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.train import networks
from components.train.data import Batching, KeptFeed
from components.train.devices import Devices, explain_out_of_memory
from components.train.interruption import Interruption
from components.train.phase import Phase, run_phase
from components.train.settings import TrainSettings
from components.train.state import Sums, TrainingState
from components.train.steps import Objective, PhaseSchedule, Steps, make_optimizer, next_steps_per_execution
from components.train.transfer_learning import first_trainable_layer, unfreeze
from petalflow.errors import PetalflowError
from petalflow.model.task import Task

GENERATOR = np.random.default_rng(0)
LOSS_CLASSES, LOSS_IMAGES = 4, 9
LABELS = {
    Task.BINARY: GENERATOR.integers(0, 2, LOSS_IMAGES),
    Task.MULTI_CLASS: GENERATOR.integers(0, LOSS_CLASSES, LOSS_IMAGES),
    Task.MULTI_LABEL: GENERATOR.integers(0, 2, (LOSS_IMAGES, LOSS_CLASSES)),
}


def outputs_for(task: Task) -> np.ndarray:
    values = np.random.default_rng(1).uniform(0.02, 0.98, (LOSS_IMAGES, task.units(LOSS_CLASSES))).astype(np.float32)
    return values / values.sum(axis=1, keepdims=True) if task is Task.MULTI_CLASS else values


def keras_loss(task: Task, smoothing: float) -> keras.losses.Loss:
    if task is Task.MULTI_CLASS:
        return keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    return keras.losses.BinaryCrossentropy(label_smoothing=smoothing)


def keras_labels(task: Task) -> np.ndarray:
    labels = LABELS[task]
    if task is Task.MULTI_CLASS:
        return np.eye(LOSS_CLASSES)[labels]
    return labels[:, None] if task is Task.BINARY else labels


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_weighted_loss_equals_that_of_keras(task: Task, smoothing: float) -> None:
    weights = np.random.default_rng(2).uniform(0, 2, LOSS_IMAGES).astype(np.float32)
    losses = np.asarray(Objective(task, LOSS_CLASSES, smoothing).losses(LABELS[task], outputs_for(task)))
    assert losses.shape == (LOSS_IMAGES,)
    whole = keras_loss(task, smoothing)(keras_labels(task), outputs_for(task), sample_weight=weights)
    assert (losses * weights).mean() == pytest.approx(float(whole), rel=1e-5)


@pytest.mark.parametrize("task", Task)
def test_correct_predictions_are_those_of_keras_accuracy(task: Task) -> None:
    metric = keras.metrics.CategoricalAccuracy() if task is Task.MULTI_CLASS else keras.metrics.BinaryAccuracy()
    metric.update_state(keras_labels(task), outputs_for(task))
    correct = np.asarray(Objective(task, LOSS_CLASSES, 0).correct(LABELS[task], outputs_for(task)))
    assert correct.shape == (LOSS_IMAGES,)
    assert 0 < correct.mean() < 1
    assert correct.mean() == pytest.approx(float(metric.result()))


def test_the_chance_loss_is_that_of_guessing() -> None:
    for task in Task:
        objective = Objective(task, LOSS_CLASSES, 0)
        even = np.full(
            (LOSS_IMAGES, task.units(LOSS_CLASSES)), 1 / LOSS_CLASSES if task is Task.MULTI_CLASS else 0.5, np.float32
        )
        assert np.asarray(objective.losses(LABELS[task], even)) == pytest.approx(objective.chance_loss, rel=1e-5)
    assert Objective(Task.MULTI_CLASS, LOSS_CLASSES, 0).chance_loss == math.log(4)


ONE = Devices(tf.distribute.get_strategy(), compiled=False, whole_batches=False, policy="float32")
FIT_CLASSES, FIT_BATCH, FIT_STEPS = 3, 8, 3


def rates(schedule: PhaseSchedule, steps: int, at: list[int]) -> list[float]:
    learning_rate = schedule.learning_rate(steps)
    return [float(learning_rate(step)) for step in at]


def test_a_rate_without_decay_is_constant() -> None:
    assert rates(PhaseSchedule(0.01, 0, False, 5), 10, [0, 25, 50, 99]) == pytest.approx([0.01] * 4)


def test_a_warm_up_is_linear_and_a_cosine_follows() -> None:
    # 2 epochs of 10 steps of warm-up, then 40 steps of decay.
    found = rates(PhaseSchedule(0.01, 2, True, 6), 10, [0, 5, 10, 20, 30, 40, 60, 99])
    cosine = [0.01 * (1 + math.cos(math.pi * share)) / 2 for share in (0, 0.25, 0.5, 1, 1)]
    assert found == pytest.approx([0, 0.0025, 0.005, *cosine], abs=1e-8)


def test_a_warm_up_without_decay_stays_at_the_peak_and_may_last_part_of_an_epoch() -> None:
    assert rates(PhaseSchedule(0.01, 0.5, False, 6), 10, [0, 1, 5, 30]) == pytest.approx([0, 0.002, 0.01, 0.01])


def test_a_warm_up_longer_than_the_training_is_cut_short() -> None:
    assert rates(PhaseSchedule(0.01, 9, True, 2), 10, [0, 10, 20]) == pytest.approx([0, 0.01 / 9, 0.02 / 9])


def test_the_rate_of_an_epoch_is_that_in_its_middle_and_never_0() -> None:
    decaying = PhaseSchedule(0.01, 1, True, 3)
    expected = [0.005, *(0.01 * (1 + math.cos(math.pi * share)) / 2 for share in (0.25, 0.75))]
    assert [decaying.rate_in_epoch(epoch, 10) for epoch in range(3)] == pytest.approx(expected, rel=1e-5)
    assert all(decaying.rate_in_epoch(epoch, 1) > 0 for epoch in range(3))


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
def test_steps_equal_those_of_keras_fit(name: str) -> None:
    settings = TrainSettings(optimizer=name, learning_rate=0.01, weight_decay=0.1, momentum=0.8)
    schedule = PhaseSchedule(0.01, 0, True, 2)
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(FIT_BATCH * FIT_STEPS, 5)).astype(np.float32)
    labels = generator.integers(0, FIT_CLASSES, FIT_BATCH * FIT_STEPS)
    ours, of_keras = (_network() for _ in range(2))
    start = [np.array(weights) for weights in ours.get_weights()]

    optimizer = make_optimizer(settings, schedule, FIT_STEPS)
    optimizer.build(ours.trainable_variables)
    feed = KeptFeed(inputs, labels, FIT_CLASSES, Batching(FIT_BATCH, 0))
    steps = Steps(ours, optimizer, Objective(Task.MULTI_CLASS, FIT_CLASSES, 0.1), ONE)
    in_order = feed.scoring()
    assert sum(count for count, _ in steps.run(in_order, FIT_STEPS, training=True)) == FIT_STEPS

    of_keras.compile(
        _KERAS[name](schedule.learning_rate(FIT_STEPS)), keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    )
    of_keras.fit(inputs, np.eye(FIT_CLASSES)[labels], batch_size=FIT_BATCH, shuffle=False, verbose=0)
    for value, other, before in zip(ours.get_weights(), of_keras.get_weights(), start, strict=True):
        np.testing.assert_allclose(value, other, atol=1e-6)
        assert np.abs(value - before).max() > 1e-3


_KERAS = {
    "adam": keras.optimizers.Adam,
    "adamw": lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.1),
    "rmsprop": lambda rate: keras.optimizers.RMSprop(rate, momentum=0.8),
    "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.8, nesterov=True),
}


def _network() -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.Input((5,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(FIT_CLASSES, "softmax")]
    return keras.Sequential(layers)


PLAIN = Devices(tf.distribute.get_strategy(), compiled=False, whole_batches=False, policy="float32")
COMPILED = Devices(tf.distribute.get_strategy(), compiled=True, whole_batches=True, policy="float32")
CLASSES, SIZE_PX, IMAGES, BATCH = 3, 32, 11, 4


# Where backbones are cut off: compiling all their blocks takes long, and shows no more than compiling two.
LAST_LAYERS = {"MobileNetV2": "block_2_add", "ResNet50": "conv2_block2_out"}


def network(name: str) -> keras.Model:
    """Returns "dense", "cnn", or two blocks of a backbone of random weights and a head, with trainable last layers."""
    keras.utils.set_random_seed(0)
    if name in ("dense", "cnn"):
        settings = TrainSettings(backbone=name, image_size_px=SIZE_PX, hidden_units=16)
        return networks.build_from_scratch(settings, Task.MULTI_CLASS, CLASSES)
    backbone = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(SIZE_PX, SIZE_PX, 3))
    backbone = keras.Model(backbone.input, backbone.get_layer(LAST_LAYERS[name]).output, name=backbone.name)
    unfreeze(backbone, first_trainable_layer(backbone, 0.3))
    features = networks.feature_model(backbone, name, SIZE_PX, "avg")
    inputs = keras.Input(features.output_shape[1:])
    head = keras.Model(inputs, networks.build_head(inputs, [], 0, Task.MULTI_CLASS, CLASSES))
    return networks.join(features, head, name)


def images_and_labels() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (IMAGES, SIZE_PX, SIZE_PX, 3)).astype(np.uint8)
    return images, generator.integers(0, CLASSES, IMAGES)


def images_feed(*, whole: bool = False) -> KeptFeed:
    return KeptFeed(*images_and_labels(), CLASSES, Batching(BATCH, 0, whole=whole))


def make_steps(model: keras.Model, devices: Devices, rate: float = 1e-3, first_execution: int = 1) -> Steps:
    optimizer = keras.optimizers.SGD(rate)
    optimizer.build(model.trainable_variables)
    return Steps(model, optimizer, Objective(Task.MULTI_CLASS, CLASSES, 0), devices, first_execution)


def run(steps: Steps, batches: tf.data.Dataset, count: int, *, training: bool) -> Sums:
    parts = [sums for _, sums in steps.run(batches, count, training=training)]
    return Sums(*(sum(getattr(part, name) for part in parts) for name in vars(parts[0])))


@pytest.mark.parametrize("name", ["dense", "cnn", "MobileNetV2", "ResNet50"])
def test_steps_compile_for_tpus_and_compute_the_same_uncompiled(name: str) -> None:
    feed = images_feed(whole=True)
    for batches in (feed.training(0), feed.scoring()):
        assert all(spec.shape.is_fully_defined() for spec in batches.element_spec)
    scores, losses = {}, {}
    for devices in (COMPILED, PLAIN):
        model = network(name)
        before = model.trainable_variables[-1].numpy()
        # A rate so low that a deep network of random weights, with its large outputs, does not diverge.
        steps = make_steps(model, devices, rate=1e-5)
        losses[devices.compiled] = run(steps, feed.training(0), feed.steps(0), training=True)
        scores[devices.compiled] = run(steps, feed.scoring(), feed.scoring_steps(), training=False)
        assert not np.array_equal(model.trainable_variables[-1].numpy(), before)
    for sums in (losses, scores):
        assert sums[True].weight == sums[False].weight == IMAGES
    with_dropout = name in ("dense", "cnn")
    assert losses[True].loss == pytest.approx(losses[False].loss, rel=0.2 if with_dropout else 0.01)
    assert scores[True].loss == pytest.approx(scores[False].loss, rel=0.01)


def test_compiled_steps_use_xla() -> None:
    """What XLA cannot compile fails in a compiled step only."""
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3))
    model = keras.Model(inputs, _NeverCompiled(CLASSES)(keras.layers.GlobalAveragePooling2D()(inputs)))
    feed = images_feed(whole=True)
    run(make_steps(model, PLAIN), feed.scoring(), feed.scoring_steps(), training=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"unsupported operations|not compilable"):
        run(make_steps(model, COMPILED), feed.scoring(), feed.scoring_steps(), training=False)


class _NeverCompiled(keras.layers.Dense):
    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = tf.numpy_function(lambda values: values, [super().call(inputs)], tf.float32)
        return tf.nn.softmax(tf.ensure_shape(outputs, [BATCH, self.units]))


def test_epochs_trace_once() -> None:
    model, feed = network("dense"), images_feed()  # the last batch is smaller
    steps = make_steps(model, PLAIN)
    traces = []
    model.call = _counting(model.call, traces)
    for epoch in range(4):
        run(steps, feed.training(epoch), feed.steps(epoch), training=True)
        run(steps, feed.scoring(), feed.scoring_steps(), training=False)
        if epoch == 0:
            first = len(traces)
    assert first >= 2
    assert len(traces) == first


def _counting(call, traces: list[None]):
    def counted(*arguments, **named):
        traces.append(None)
        return call(*arguments, **named)

    return counted


def test_steps_count_every_image_however_many_run_at_once() -> None:
    feed = images_feed()
    model = network("dense")
    images, labels = images_and_labels()
    probabilities = np.asarray(model(images.astype(np.float32), training=False))
    correct = probabilities.argmax(axis=1) == labels
    losses = -np.log(probabilities[np.arange(IMAGES), labels])
    for first_execution in (1, 2, 100):
        steps = make_steps(model, PLAIN, first_execution=first_execution)
        sums = run(steps, feed.scoring(), feed.scoring_steps(), training=False)
        assert (sums.weight, sums.correct) == (IMAGES, correct.sum())
        assert sums.loss == pytest.approx(losses.sum(), rel=1e-5)


def test_executions_adapt_to_the_time_they_take() -> None:
    assert next_steps_per_execution(4, 0.01) == 8
    assert next_steps_per_execution(4, 0.5) == 4
    assert next_steps_per_execution(4, 3.0) == 2
    assert next_steps_per_execution(1, 60.0) == 1


@pytest.mark.parametrize(("delay_s", "least", "most"), [(0.0, 0.0, 0.4), (0.1, 0.6, 1.0)])
def test_the_share_of_waiting_reflects_a_slow_input(delay_s: float, least: float, most: float) -> None:
    """A step takes at least 20 ms; its input is ready immediately or takes five times as long."""
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3))
    model = keras.Model(inputs, _Slow(CLASSES, activation="softmax")(keras.layers.Flatten()(inputs)))
    steps, feed = make_steps(model, PLAIN, first_execution=10), images_feed(whole=True)

    def late(labels: np.ndarray) -> np.ndarray:
        time.sleep(delay_s)
        return labels

    def wait(inputs, labels, weights):
        return inputs, tf.ensure_shape(tf.numpy_function(late, [labels], tf.int64), labels.shape), weights

    batches = feed.training(0).cache().repeat().map(wait).prefetch(4)
    run(steps, batches, 1, training=True)
    time.sleep(5 * delay_s)
    sums = run(steps, batches.take(20), 20, training=True)
    assert least <= sums.waited / sums.seconds <= most


class _Slow(keras.layers.Dense):
    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = super().call(inputs)
        return outputs + 0 * tf.stop_gradient(
            tf.ensure_shape(tf.numpy_function(_rest, [outputs], tf.float32), outputs.shape)
        )


def _rest(values: np.ndarray) -> np.ndarray:
    time.sleep(0.02)
    return values


def test_too_little_memory_for_a_network_is_one_line() -> None:
    settings = TrainSettings(backbone="dense", image_size_px=64, hidden_units=(1 << 20, 1 << 20))  # 4 TiB of weights
    line = r"^out of memory for dense .*try train\.image_size_px=32, .*$"
    with pytest.raises(PetalflowError, match=line) as caught, explain_out_of_memory(settings):
        networks.build_from_scratch(settings, Task.MULTI_CLASS, CLASSES)
    assert "\n" not in str(caught.value)
    with pytest.raises(PetalflowError, match="out of memory"), explain_out_of_memory(settings):
        np.empty(1 << 50, np.uint8)


class _Vast(keras.layers.Dense):
    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = super().call(inputs)
        return outputs + tf.reduce_sum(tf.fill([1 << 20, 1 << 20, tf.shape(outputs)[0]], outputs[0, 0]))  # TiB


def test_too_little_memory_for_a_batch_is_one_line_with_the_next_size_to_try() -> None:
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3))
    model = keras.Model(inputs, _Vast(CLASSES)(keras.layers.Flatten()(inputs)))
    phase = Phase("vast", model, images_feed(), images_feed(), PhaseSchedule(1e-3, 0, False, 1))
    objective = Objective(Task.MULTI_CLASS, CLASSES, 0)
    settings = TrainSettings(batch_size=BATCH, image_size_px=SIZE_PX)
    line = r"^out of memory with train\.batch_size=4 at train\.image_size_px=32; try train\.batch_size=2$"
    with pytest.raises(PetalflowError, match=line):
        run_phase(phase, TrainingState(), settings, objective, PLAIN, Interruption(), lambda state: None)
