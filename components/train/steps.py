"""Steps of training and of scoring, several an execution."""

import time
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from components.train.devices import Devices
from components.train.objective import Objective
from components.train.state import Sums

# One execution takes about so long: short enough to notice a request to end, long enough to cost nothing.
_EXECUTION_S = 0.5


class Steps:
    """Runs a network over batches."""

    def __init__(self, model: keras.Model, optimizer: keras.Optimizer, objective: Objective, devices: Devices) -> None:
        self._model, self._optimizer, self._objective = model, optimizer, objective
        self._strategy = devices.strategy
        # A TPU's strategy compiles what it runs by itself.
        compiled = devices.compiled and not isinstance(self._strategy, tf.distribute.TPUStrategy)
        self._run = {
            training: tf.function(self._several(tf.function(step, jit_compile=True) if compiled else step))
            for training, step in ((True, self._train_on), (False, self._score_on))
        }
        self._at_once = {True: 1, False: 1}

    def run(self, batches: tf.data.Dataset, steps: int, *, training: bool) -> Iterator[tuple[int, Sums]]:
        """Runs over batches; yields after each execution how many there were, and their sums."""
        batches = self._strategy.experimental_distribute_dataset(batches)
        iterator = iter(batches)
        done = 0
        while done < steps:
            count = min(self._at_once[training], steps - done)
            began = time.monotonic()
            sums, waited = self._run[training](iterator, tf.constant(count))
            loss, right, weight = map(float, sums.numpy())
            took = time.monotonic() - began
            done += count
            if count == self._at_once[training]:  # not what was left of an epoch
                self._at_once[training] = _next(count, took)
            yield count, Sums(loss, right, weight, took, float(waited))

    def _several(self, step: Callable[..., tf.Tensor]) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
        def several(iterator: tf.data.Iterator, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # float64, so that the sums of an epoch do not depend on how many steps an execution has.
            sums, waited = tf.zeros([3], tf.float64), tf.zeros([], tf.float64)
            for _ in tf.range(count):
                # Or else the next batch is asked for, and waited for, while the device works on this one.
                tf.autograph.experimental.set_loop_options(parallel_iterations=1)
                asked = tf.timestamp()
                batch = next(iterator)
                with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
                    waited += tf.timestamp() - asked
                of_devices = self._strategy.run(step, args=batch)
                sums += tf.cast(self._strategy.reduce(tf.distribute.ReduceOp.SUM, of_devices, axis=None), tf.float64)
            return sums, waited

        return several

    def _train_on(self, inputs: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        total = replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(weights))
        with tf.GradientTape() as tape:
            outputs = self._model(tf.cast(inputs, tf.float32), training=True)
            losses = self._objective.losses(labels, outputs) * weights
            loss = tf.reduce_sum(losses) / tf.maximum(total, 1e-6)
        variables = self._model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        self._optimizer.apply(gradients, variables)
        return self._sums(losses, labels, outputs, weights)

    def _score_on(self, inputs: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        outputs = self._model(tf.cast(inputs, tf.float32), training=False)
        return self._sums(self._objective.losses(labels, outputs) * weights, labels, outputs, weights)

    def _sums(self, losses: tf.Tensor, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        right = self._objective.right(labels, outputs) * weights
        return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(right), tf.reduce_sum(weights)])


def _next(count: int, took_s: float) -> int:
    """Returns how many steps to run at once, after so many took so long."""
    if took_s < _EXECUTION_S / 2:
        return 2 * count
    return max(count // 2, 1) if took_s > 2 * _EXECUTION_S else count
