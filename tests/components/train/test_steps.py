import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.train import networks
from components.train.cut import first_trained, thaw
from components.train.devices import Devices
from components.train.feeding import Batching, KeptFeed
from components.train.interruption import Interruption
from components.train.learning import Learning
from components.train.memory import enough_memory
from components.train.objective import Objective
from components.train.phase import Phase, run_phase
from components.train.settings import TrainSettings
from components.train.state import Sums, TrainingState
from components.train.steps import Steps, _next
from petalflow.errors import PetalflowError
from petalflow.model.task import Task

PLAIN = Devices(tf.distribute.get_strategy(), compiled=False, whole_batches=False, policy="float32")
COMPILED = Devices(tf.distribute.get_strategy(), compiled=True, whole_batches=True, policy="float32")
CLASSES, SIZE_PX, IMAGES, BATCH = 3, 32, 11, 4


def network(name: str) -> keras.Model:
    """Returns "dense", "cnn", or a backbone of random weights with a head, whose last layers are trained too."""
    keras.utils.set_random_seed(0)
    if name in ("dense", "cnn"):
        settings = TrainSettings(backbone=name, image_size_px=SIZE_PX, hidden_units=16)
        return networks.build_from_scratch(settings, Task.MULTI_CLASS, CLASSES)
    backbone = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(SIZE_PX, SIZE_PX, 3))
    thaw(backbone, first_trained(backbone, 0.3))
    features = networks.feature_model(backbone, name, SIZE_PX, "avg")
    inputs = keras.Input(features.output_shape[1:])
    head = keras.Model(inputs, networks.build_head(inputs, [], 0, Task.MULTI_CLASS, CLASSES))
    return networks.join(features, head, name)


def images_feed(*, whole: bool = False) -> KeptFeed:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (IMAGES, SIZE_PX, SIZE_PX, 3)).astype(np.uint8)
    return KeptFeed(images, generator.integers(0, CLASSES, IMAGES), CLASSES, Batching(BATCH, 0, whole=whole))


def steps_of(model: keras.Model, devices: Devices, rate: float = 1e-3) -> Steps:
    optimizer = keras.optimizers.SGD(rate)
    optimizer.build(model.trainable_variables)
    return Steps(model, optimizer, Objective(Task.MULTI_CLASS, CLASSES, 0), devices)


def run(steps: Steps, batches: tf.data.Dataset, count: int, *, training: bool) -> Sums:
    parts = [sums for _, sums in steps.run(batches, count, training=training)]
    return Sums(*(sum(getattr(part, name) for part in parts) for name in vars(parts[0])))


@pytest.mark.parametrize("name", ["dense", "cnn", "MobileNetV2", "ResNet50"])
def test_steps_compile_as_tpus_ask_and_give_what_they_give_uncompiled(name: str) -> None:
    feed = images_feed(whole=True)
    for batches in (feed.training(0), feed.scoring()):
        assert all(spec.shape.is_fully_defined() for spec in batches.element_spec)
    scores, losses = {}, {}
    for devices in (COMPILED, PLAIN):
        model = network(name)
        before = model.trainable_variables[-1].numpy()
        # So slow that random weights, which make large numbers of a deep network, do not run away.
        steps = steps_of(model, devices, rate=1e-5)
        losses[devices.compiled] = run(steps, feed.training(0), feed.steps(0), training=True)
        scores[devices.compiled] = run(steps, feed.scoring(), feed.scoring_steps(), training=False)
        assert not np.array_equal(model.trainable_variables[-1].numpy(), before)
    for sums in (losses, scores):
        assert sums[True].weight == sums[False].weight == IMAGES
    with_dropout = name in ("dense", "cnn")
    assert losses[True].loss == pytest.approx(losses[False].loss, rel=0.2 if with_dropout else 0.01)
    assert scores[True].loss == pytest.approx(scores[False].loss, rel=0.01)


def test_compiled_means_by_xla() -> None:
    """What XLA cannot compile fails in a compiled step, and in no other."""
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3))
    model = keras.Model(inputs, _NeverCompiled(CLASSES)(keras.layers.GlobalAveragePooling2D()(inputs)))
    feed = images_feed(whole=True)
    run(steps_of(model, PLAIN), feed.scoring(), feed.scoring_steps(), training=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"unsupported operations|not compilable"):
        run(steps_of(model, COMPILED), feed.scoring(), feed.scoring_steps(), training=False)


class _NeverCompiled(keras.layers.Dense):
    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = tf.numpy_function(lambda values: values, [super().call(inputs)], tf.float32)
        return tf.nn.softmax(tf.ensure_shape(outputs, [BATCH, self.units]))


def test_epochs_trace_once() -> None:
    model, feed = network("dense"), images_feed()  # whose last batch is smaller
    steps = steps_of(model, PLAIN)
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
    steps = steps_of(model, PLAIN)
    probabilities = np.asarray(model(feed._inputs.astype(np.float32), training=False))
    right = probabilities.argmax(axis=1) == feed._labels
    losses = -np.log(probabilities[np.arange(IMAGES), feed._labels])
    for at_once in (1, 2, 100):
        steps._at_once[False] = at_once
        sums = run(steps, feed.scoring(), feed.scoring_steps(), training=False)
        assert (sums.weight, sums.right) == (IMAGES, right.sum())
        assert sums.loss == pytest.approx(losses.sum(), rel=1e-5)


def test_an_execution_is_neither_long_nor_short() -> None:
    assert _next(4, 0.01) == 8
    assert _next(4, 0.5) == 4
    assert _next(4, 3.0) == 2
    assert _next(1, 60.0) == 1


@pytest.mark.parametrize(("delay_s", "least", "most"), [(0.0, 0.0, 0.4), (0.1, 0.6, 1.0)])
def test_the_share_of_waiting_is_that_of_a_slow_input(delay_s: float, least: float, most: float) -> None:
    """A step of about 20 ms at least, and an input that is there at once or takes five times as long."""
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3))
    model = keras.Model(inputs, _Slow(CLASSES, activation="softmax")(keras.layers.Flatten()(inputs)))
    steps, feed = steps_of(model, PLAIN), images_feed(whole=True)

    def late(labels: np.ndarray) -> np.ndarray:
        time.sleep(delay_s)
        return labels

    def wait(inputs, labels, weights):
        return inputs, tf.ensure_shape(tf.numpy_function(late, [labels], tf.int64), labels.shape), weights

    batches = feed.training(0).cache().repeat().map(wait).prefetch(4)
    run(steps, batches, 1, training=True)
    steps._at_once[True] = 10
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


def test_memory_that_is_too_small_for_a_network_is_a_line() -> None:
    settings = TrainSettings(backbone="dense", image_size_px=64, hidden_units=(1 << 20, 1 << 20))  # 4 TiB of weights
    line = r"^out of memory for dense .*try train\.image_size_px=32, .*$"
    with pytest.raises(PetalflowError, match=line) as caught, enough_memory(settings):
        networks.build_from_scratch(settings, Task.MULTI_CLASS, CLASSES)
    assert "\n" not in str(caught.value)
    with pytest.raises(PetalflowError, match="out of memory"), enough_memory(settings):
        np.empty(1 << 50, np.uint8)


class _Vast(keras.layers.Dense):
    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = super().call(inputs)
        return outputs + tf.reduce_sum(tf.fill([1 << 20, 1 << 20, tf.shape(outputs)[0]], outputs[0, 0]))  # TiB


def test_memory_that_is_too_small_for_a_batch_is_a_line_with_the_next_to_try() -> None:
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3))
    model = keras.Model(inputs, _Vast(CLASSES)(keras.layers.Flatten()(inputs)))
    phase = Phase("vast", model, images_feed(), images_feed(), Learning(1e-3, 0, False, 1))
    objective = Objective(Task.MULTI_CLASS, CLASSES, 0)
    settings = TrainSettings(batch_size=BATCH, image_size_px=SIZE_PX)
    line = r"^out of memory with train\.batch_size=4 at train\.image_size_px=32; try train\.batch_size=2$"
    with pytest.raises(PetalflowError, match=line):
        run_phase(phase, TrainingState(), settings, objective, PLAIN, Interruption(), lambda state: None)
