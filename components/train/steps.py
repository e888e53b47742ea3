"""Training steps: the loss, the optimizer with its learning rate schedule, and the functions that run over batches."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import tensorflow as tf

from components.train.devices import Devices
from components.train.settings import TrainSettings
from components.train.state import Sums
from petalflow.model.task import LABEL_THRESHOLD, Task


class Objective:
    """The loss of a task, and what counts as a correct prediction.

    Attributes:
        chance_loss: The loss of guessing, in nats.
    """

    def __init__(self, task: Task, classes: int, label_smoothing: float) -> None:
        self._task, self._classes = task, classes
        kind = keras.losses.CategoricalCrossentropy if task is Task.MULTI_CLASS else keras.losses.BinaryCrossentropy
        self._loss = kind(label_smoothing=label_smoothing, reduction=None)
        self.chance_loss = math.log(classes if task is Task.MULTI_CLASS else 2)

    def losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each image, float32 [b].

        Args:
            labels: int64 [b], or multi-hot, [b, classes].
            outputs: Probabilities, [b, units].
        """
        return self._loss(self._targets(labels), tf.cast(outputs, tf.float32))

    def correct(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns 1 for each correct prediction, else 0, float32 [b]; with several labels, the correct share."""
        if self._task is Task.MULTI_CLASS:
            return tf.cast(tf.argmax(outputs, axis=1) == labels, tf.float32)
        predicted = tf.cast(outputs > LABEL_THRESHOLD, tf.float32)
        return tf.reduce_mean(tf.cast(predicted == self._targets(labels), tf.float32), axis=1)

    def _targets(self, labels: tf.Tensor) -> tf.Tensor:
        if self._task is Task.MULTI_CLASS:
            return tf.one_hot(labels, self._classes)
        return tf.cast(labels[:, None] if self._task is Task.BINARY else labels, tf.float32)


@dataclass(frozen=True)
class PhaseSchedule:
    """The length of a phase and its learning rate.

    Attributes:
        peak_rate: The highest learning rate, for all devices together.
        warmup_epochs: Epochs over which it rises from 0.
        cosine: True if it then decays along a cosine, to 0 at the end of the last epoch.
        max_epochs: The most epochs of the phase.
    """

    peak_rate: float
    warmup_epochs: float
    cosine: bool
    max_epochs: int

    def learning_rate(self, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
        """Returns the learning rate as a function of the step.

        Linear warm-up (Goyal et al. 2017, arXiv:1706.02677), cosine decay (Loshchilov and Hutter 2016,
        arXiv:1608.03983) without restarts.

        Args:
            steps: Steps of an epoch.
        """
        warmup = round(self.warmup_epochs * steps)
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else self.peak_rate,
            decay_steps=max(self.max_epochs * steps - warmup, 1),
            alpha=0.0 if self.cosine else 1.0,
            warmup_target=self.peak_rate if warmup else None,
            warmup_steps=warmup,
        )

    def rate_in_epoch(self, epoch: int, steps: int) -> float:
        """Returns the learning rate in the middle of an epoch, where even a warm-up or the last epoch has one above 0.

        Args:
            epoch: Its index, from 0.
            steps: Steps of an epoch.
        """
        return float(self.learning_rate(steps)((epoch + 0.5) * steps))


def make_optimizer(settings: TrainSettings, schedule: PhaseSchedule, steps: int) -> keras.Optimizer:
    """Returns the optimizer that the settings name.

    Args:
        settings: The settings of train.
        schedule: The phase's learning rate.
        steps: Steps of an epoch.
    """
    rate = schedule.learning_rate(steps)
    if settings.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
    if settings.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(rate, momentum=settings.momentum)
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=settings.momentum, nesterov=settings.momentum > 0)
    return keras.optimizers.Adam(rate)


# One execution takes about this long: short enough to notice a request to stop, long enough to cost nothing.
_EXECUTION_S = 0.5


class Steps:
    """Runs a network over batches, several steps per execution."""

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.Optimizer,
        objective: Objective,
        devices: Devices,
        first_execution: int = 1,
    ) -> None:
        """Builds the functions that train and score; TensorFlow traces them on their first call.

        Args:
            model: What is trained.
            optimizer: Updates its trainable variables.
            objective: The loss, and what counts as correct.
            devices: What computes.
            first_execution: Steps of the first execution; later ones adapt to the time they take.
        """
        self._model, self._optimizer, self._objective = model, optimizer, objective
        self._strategy = devices.strategy
        # A TPU strategy compiles what it runs by itself.
        compiled = devices.compiled and not isinstance(self._strategy, tf.distribute.TPUStrategy)
        self._run = {
            training: tf.function(self._repeat(tf.function(step, jit_compile=True) if compiled else step))
            for training, step in ((True, self._train_on), (False, self._score_on))
        }
        self._steps_per_execution = {True: first_execution, False: first_execution}

    def run(self, batches: tf.data.Dataset, steps: int, *, training: bool) -> Iterator[tuple[int, Sums]]:
        """Runs over batches; yields the number of steps and their sums after each execution."""
        batches = self._strategy.experimental_distribute_dataset(batches)
        iterator = iter(batches)
        done = 0
        while done < steps:
            count = min(self._steps_per_execution[training], steps - done)
            began = time.monotonic()
            sums, waited = self._run[training](iterator, tf.constant(count))
            loss, correct, weight = map(float, sums.numpy())
            took = time.monotonic() - began
            done += count
            if count == self._steps_per_execution[training]:  # not the rest of an epoch
                self._steps_per_execution[training] = next_steps_per_execution(count, took)
            yield count, Sums(loss, correct, weight, took, float(waited))

    def _repeat(self, step: Callable[..., tf.Tensor]) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
        def repeat(iterator: tf.data.Iterator, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # float64, so that the sums of an epoch do not depend on how many steps an execution has.
            sums, waited = tf.zeros([3], tf.float64), tf.zeros([], tf.float64)
            for _ in tf.range(count):
                # Otherwise the next batch is requested, and waited for, while the device still computes this one.
                tf.autograph.experimental.set_loop_options(parallel_iterations=1)
                requested = tf.timestamp()
                batch = next(iterator)
                with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
                    waited += tf.timestamp() - requested
                per_device = self._strategy.run(step, args=batch)
                sums += tf.cast(self._strategy.reduce(tf.distribute.ReduceOp.SUM, per_device, axis=None), tf.float64)
            return sums, waited

        return repeat

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
        correct = self._objective.correct(labels, outputs) * weights
        return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(correct), tf.reduce_sum(weights)])


def next_steps_per_execution(count: int, took_s: float) -> int:
    """Returns how many steps the next execution should have, after one of `count` steps took `took_s` seconds."""
    if took_s < _EXECUTION_S / 2:
        return 2 * count
    return max(count // 2, 1) if took_s > 2 * _EXECUTION_S else count
