"""One phase of training: epochs until there is a reason to stop, taken up where it was left."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.train.devices import Devices
from components.train.feeding import Feed
from components.train.interruption import Interruption
from components.train.learning import Learning, make_optimizer
from components.train.objective import Objective
from components.train.settings import TrainSettings
from components.train.state import (
    ACCURACY,
    LOSS,
    PHASE,
    RATE,
    SECONDS,
    VALIDATION_ACCURACY,
    VALIDATION_LOSS,
    WAITED,
    Arrays,
    Sums,
    TrainingState,
)
from components.train.steps import Steps
from components.train.stopping import reason_to_stop
from petalflow.errors import PetalflowError
from petalflow.progress import Progress

log = logging.getLogger(__name__)

Save = Callable[[TrainingState], None]


@dataclass(frozen=True)
class Phase:
    """What is trained in a phase.

    Attributes:
        name: For people: "from scratch", "head", "fine-tuning".
        model: What is trained: what the feeds give to the network's outputs. Its variables are those of the whole.
        train: Feeds it.
        validation: Feeds it likewise; decides which epoch is the best.
        learning: How it learns.
    """

    name: str
    model: keras.Model
    train: Feed
    validation: Feed
    learning: Learning


def run_phase(
    phase: Phase,
    state: TrainingState,
    settings: TrainSettings,
    objective: Objective,
    devices: Devices,
    interruption: Interruption,
    save: Save,
) -> None:
    """Trains until there is a reason to stop; the best weights so far are in the network then.

    Args:
        phase: What to train.
        state: How far the training is; changed as it goes on.
        settings: Of train.
        objective: What to make small.
        devices: What to compute on.
        interruption: Asked for after every execution.
        save: Keeps the state; called after every epoch, every `checkpoint_minutes`, and before it ends early.

    Raises:
        PetalflowError: If memory is too small for the batch.
    """
    steps = phase.train.steps(0)
    with devices.strategy.scope():
        optimizer = make_optimizer(settings, phase.learning, steps)
        optimizer.build(phase.model.trainable_variables)
    if state.model:
        _assign(phase.model.variables, state.model)
        _assign(optimizer.variables, state.optimizer)
    elif not state.best:
        state.best = _values(phase.model.variables)
    run = _Run(phase, state, settings, Steps(phase.model, optimizer, objective, devices), optimizer, interruption, save)
    try:
        while not (why := run.reason_to_stop(objective.guess)):
            run.epoch()
    except tf.errors.ResourceExhaustedError as error:
        raise PetalflowError(_out_of_memory(settings, devices)) from error
    log.info("%s ended: %s", phase.name, why)
    state.notes.append(f"{phase.name} ended: {why}")
    _assign(phase.model.variables, state.best)


@dataclass
class _Run:
    phase: Phase
    state: TrainingState
    settings: TrainSettings
    steps: Steps
    optimizer: keras.Optimizer
    interruption: Interruption
    save: Save
    saved_at: float = -math.inf

    def reason_to_stop(self, guess: float) -> str:
        learning = self.phase.learning
        return reason_to_stop(self.state, self.settings, self.phase.name, learning.max_epochs, guess)

    def epoch(self) -> None:
        """Trains for an epoch, or what is left of one, and scores the validation split."""
        state, number = self.state, self.state.epochs_of(self.phase.name)
        self.saved_at = time.monotonic() if self.saved_at == -math.inf else self.saved_at
        batches = self.phase.train.training(number, skip=state.step)
        left = self.phase.train.steps(number) - state.step
        for done, sums in self.steps.run(batches, left, training=True):
            state.step += done
            state.spent_s += sums.seconds
            state.sums = _added(state.sums, sums)
            if not math.isfinite(state.sums.loss) or self._budget_is_spent():
                break
            self._between()
        figures = self._figures(self._scored() if math.isfinite(state.sums.loss) else Sums(math.nan, 0, 1))
        is_best = state.add_epoch(figures, self.settings.best)
        state.step, state.sums = 0, Sums()
        self._keep()
        if is_best:
            state.best = state.model
        self.save(state)
        self.saved_at = time.monotonic()
        self._show(figures)
        self.interruption.check()

    def _between(self) -> None:
        """Saves within an epoch if it is time to, or if this process is asked to end."""
        asked = self.interruption.signal is not None
        if asked or time.monotonic() - self.saved_at >= self.settings.checkpoint_minutes * 60:
            self._keep()
            self.save(self.state)
            self.saved_at = time.monotonic()
        if asked:
            log.info("asked to end; saved in epoch %d, after step %d", self.state.epochs + 1, self.state.step)
        self.interruption.check()

    def _budget_is_spent(self) -> bool:
        budget = self.settings.time_budget_minutes
        return budget is not None and self.state.spent_s >= budget * 60

    def _scored(self) -> Sums:
        total = Sums()
        feed = self.phase.validation
        for _, sums in self.steps.run(feed.scoring(), feed.scoring_steps(), training=False):
            self.state.spent_s += sums.seconds
            total = _added(total, sums)
        return total

    def _figures(self, validation: Sums) -> dict[str, Any]:
        sums = self.state.sums
        return {
            PHASE: self.phase.name,
            LOSS: sums.loss / sums.weight,
            ACCURACY: sums.right / sums.weight,
            VALIDATION_LOSS: validation.loss / validation.weight,
            VALIDATION_ACCURACY: validation.right / validation.weight,
            RATE: float(self.optimizer.learning_rate),
            SECONDS: round(sums.seconds + validation.seconds, 3),
            WAITED: round(sums.waited / max(sums.seconds, 1e-9), 4),
        }

    def _keep(self) -> None:
        self.state.model = _values(self.phase.model.variables)
        self.state.optimizer = _values(self.optimizer.variables)

    def _show(self, figures: dict[str, Any]) -> None:
        shown = ", ".join(
            f"{name} {figures[name]:.4f}" for name in (LOSS, ACCURACY, VALIDATION_LOSS, VALIDATION_ACCURACY)
        )
        done, most = self.state.epochs_of(self.phase.name), self.phase.learning.max_epochs
        print(Progress("train", done, most, "epochs", f"{self.phase.name}, {shown}"), flush=True)


def _added(one: Sums, other: Sums) -> Sums:
    return replace(one, **{name: value + getattr(other, name) for name, value in vars(one).items()})


def _values(variables: Sequence[keras.Variable]) -> Arrays:
    # Copied: what numpy() gives may be the memory that the next step writes to.
    return [np.array(variable.numpy()) for variable in variables]


def _assign(variables: Sequence[keras.Variable], values: Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _out_of_memory(settings: TrainSettings, devices: Devices) -> str:
    size = settings.batch_size
    remedy = f"try train.batch_size={size // 2}" if size > 1 else "train with a smaller train.image_size_px"
    each = " on each device" if devices.count > 1 else ""
    return f"out of memory with train.batch_size={size}{each} at train.image_size_px={settings.image_size_px}; {remedy}"
