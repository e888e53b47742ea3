"""What is made small: the loss of a task, and what counts as right."""

import math

import keras
import tensorflow as tf

from petalflow.model.task import LABEL_THRESHOLD, Task


class Objective:
    """Losses and right answers of a batch.

    Attributes:
        guess: The loss of one who guesses, in nats.
    """

    def __init__(self, task: Task, classes: int, label_smoothing: float) -> None:
        self._task, self._classes = task, classes
        kind = keras.losses.CategoricalCrossentropy if task is Task.MULTI_CLASS else keras.losses.BinaryCrossentropy
        self._loss = kind(label_smoothing=label_smoothing, reduction=None)
        self.guess = math.log(classes if task is Task.MULTI_CLASS else 2)

    def losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each image, float32 [b].

        Args:
            labels: int64 [b], or 0 and 1 a class, [b, classes].
            outputs: Probabilities, [b, units].
        """
        return self._loss(self._targets(labels), tf.cast(outputs, tf.float32))

    def right(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns whether each image's answer is right, float32 [b], 0 or 1; of several labels, the share that is."""
        if self._task is Task.MULTI_CLASS:
            return tf.cast(tf.argmax(outputs, axis=1) == labels, tf.float32)
        answers = tf.cast(outputs > LABEL_THRESHOLD, tf.float32)
        return tf.reduce_mean(tf.cast(answers == self._targets(labels), tf.float32), axis=1)

    def _targets(self, labels: tf.Tensor) -> tf.Tensor:
        if self._task is Task.MULTI_CLASS:
            return tf.one_hot(labels, self._classes)
        return tf.cast(labels[:, None] if self._task is Task.BINARY else labels, tf.float32)
