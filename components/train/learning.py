"""Optimizers, and how the learning rate runs."""

from dataclasses import dataclass

import keras

from components.train.settings import TrainSettings


@dataclass(frozen=True)
class Learning:
    """How one phase learns.

    Attributes:
        rate: The highest learning rate, of all devices together.
        warmup_epochs: Epochs over which it rises from 0.
        cosine: Whether it falls along a cosine then, to 0 at the end of the last epoch.
        max_epochs: Most epochs of the phase.
    """

    rate: float
    warmup_epochs: float
    cosine: bool
    max_epochs: int

    def schedule(self, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
        """Returns the learning rate as a function of the step.

        Linear warm-up (Goyal et al. 2017, arXiv:1706.02677), cosine decay (Loshchilov and Hutter 2016,
        arXiv:1608.03983) without restarts.

        Args:
            steps: An epoch's.
        """
        warmup = round(self.warmup_epochs * steps)
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else self.rate,
            decay_steps=max(self.max_epochs * steps - warmup, 1),
            alpha=0.0 if self.cosine else 1.0,
            warmup_target=self.rate if warmup else None,
            warmup_steps=warmup,
        )

    def rate_in(self, epoch: int, steps: int) -> float:
        """Returns the learning rate in the middle of an epoch, which is 0 neither in the first nor in the last.

        Args:
            epoch: From 0.
            steps: An epoch's.
        """
        return float(self.schedule(steps)((epoch + 0.5) * steps))


def make_optimizer(settings: TrainSettings, learning: Learning, steps: int) -> keras.Optimizer:
    """Returns the optimizer that the settings name.

    Args:
        settings: Of train.
        learning: The phase's.
        steps: An epoch's.
    """
    rate = learning.schedule(steps)
    if settings.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
    if settings.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(rate, momentum=settings.momentum)
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=settings.momentum, nesterov=settings.momentum > 0)
    return keras.optimizers.Adam(rate)
