"""One phase of training: epochs until there is a reason to stop, resumable at any step."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import tensorflow as tf

from components.train.data import Feed
from components.train.devices import Devices
from components.train.interruption import Interruption
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
    Sums,
    TrainingState,
    assign,
    values_of,
)
from components.train.steps import Learning, Objective, Steps, make_optimizer
from petalflow.errors import PetalflowError
from petalflow.progress import Progress

log = logging.getLogger(__name__)

# A loss so many times the least so far, and above what guessing gives, comes from steps too wide to be made good.
_DIVERGED = 10.0


def reason_to_stop(
    state: TrainingState, settings: TrainSettings, phase: str, max_epochs: int, guess: float, rate: float
) -> str:
    """Returns why a phase ends after the epochs that are done, or "" if it goes on.

    Args:
        state: How far the training is.
        settings: Of train.
        phase: Its name.
        max_epochs: Most epochs of it.
        guess: The loss of guessing, in nats.
        rate: Its highest learning rate.
    """
    if why := budget_spent(state, settings):
        return why
    mine = [index for index, of in enumerate(state.history.get(PHASE, [])) if of == phase]
    if not mine:
        return ""
    last = mine[-1]
    if trouble := _trouble([state.history[LOSS][index] for index in mine], state.history[VALIDATION_LOSS][last], guess):
        setting = "train.fine_tune.learning_rate" if state.phase else "train.learning_rate"
        return f"{trouble} with a learning rate of {rate:.3g}; train with a lower {setting}"
    accuracy, loss = state.history[ACCURACY][last], state.history[LOSS][last]
    if settings.target_accuracy is not None and accuracy >= settings.target_accuracy:
        return f"training accuracy {accuracy:.4f} reached the target {settings.target_accuracy:g}"
    if settings.target_loss is not None and loss < settings.target_loss:
        return f"training loss {loss:.4f} is below the target {settings.target_loss:g}"
    # Of a best epoch of an earlier phase this one is given its own time to be better.
    since = last - max(state.best_epoch if state.best_epoch is not None else -1, mine[0] - 1)
    if since >= settings.patience_epochs:
        return f"{settings.best} has not been better for {since} epochs"
    return f"epoch {len(mine)} of {max_epochs} was the last" if len(mine) >= max_epochs else ""


def budget_spent(state: TrainingState, settings: TrainSettings) -> str:
    """Returns why no phase goes on, if the time budget is spent, or "": there is one epoch at least."""
    budget = settings.time_budget_minutes
    if budget is None or state.spent_s < budget * 60 or not state.epochs:
        return ""
    return f"the time budget of {budget:g} minutes is spent"


def _trouble(losses: list[float], validation_loss: float, guess: float) -> str:
    last = losses[-1]
    if not math.isfinite(last) or not math.isfinite(validation_loss):
        return "the loss is no number"
    if last > _DIVERGED * min(losses) and last > 2 * guess:
        return f"the loss rose from {min(losses):.3g} to {last:.3g}"
    return ""


Save = Callable[[TrainingState], None]


class NoNumbersError(PetalflowError):
    """No epoch's loss was a number: there is nothing to keep, nor to go on from."""


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
        DoesNotFitError: If the state is another network's.
        NoNumbersError: If no epoch's loss was a number.
        PetalflowError: If memory is too small for the batch.
    """
    steps = phase.train.steps(0)
    with devices.strategy.scope():
        optimizer = make_optimizer(settings, phase.learning, steps)
        optimizer.build(phase.model.trainable_variables)
    if state.model:
        assign(phase.model.variables, state.model)
        assign(optimizer.variables, state.optimizer)
    if not state.best:
        state.best = values_of(phase.model.variables)
    run = _Run(phase, state, settings, Steps(phase.model, optimizer, objective, devices), optimizer, interruption, save)
    # To the end, though all is saved between epochs: an exception amid TensorFlow's work, or while Python gets rid of
    # what an epoch leaves, crashes the process or is lost. `run` asks often enough.
    interruption.unsaved = True
    try:
        while not (why := run.reason_to_stop(objective.guess)):
            run.epoch()
    except tf.errors.ResourceExhaustedError as error:
        raise PetalflowError(_out_of_memory(settings, devices)) from error
    interruption.unsaved = False
    if state.best_epoch is None:
        raise NoNumbersError(why)
    log.info("%s ended: %s%s", phase.name, why, run.speed())
    state.notes.append(f"{phase.name} ended: {why}")
    assign(phase.model.variables, state.best)


@dataclass
class _Run:
    phase: Phase
    state: TrainingState
    settings: TrainSettings
    steps: Steps
    optimizer: keras.Optimizer
    interruption: Interruption
    save: Save
    saved_at: float = field(default_factory=time.monotonic)
    counted_at: float = field(default_factory=time.monotonic)
    # Of this process, without the first execution, in which TensorFlow traces.
    measured: Sums | None = None
    measured_images: float = 0.0

    def reason_to_stop(self, guess: float) -> str:
        learning = self.phase.learning
        return reason_to_stop(self.state, self.settings, self.phase.name, learning.max_epochs, guess, learning.rate)

    def epoch(self) -> None:
        """Trains for an epoch, or what is left of one, and scores the validation split."""
        state, number = self.state, self.state.epochs_of(self.phase.name)
        batches = self.phase.train.training(number, skip=state.step)
        steps = self.phase.train.steps(number)
        for done, sums in self.steps.run(batches, steps - state.step, training=True):
            state.step += done
            state.sums = _added(state.sums, sums)
            self._measure(sums, done / steps)
            self._count_time()
            if not math.isfinite(state.sums.loss) or self._budget_is_spent():
                self._note_cut(number, steps)
                break
            self._between()
        validation = self._scored() if math.isfinite(state.sums.loss) else Sums(math.nan, 0, 1)
        figures = self._figures(validation, self.phase.learning.rate_in(number, steps))
        is_best = state.add_epoch(figures, self.settings.best)
        state.step, state.sums = 0, Sums()
        self._count_time()
        self._save(best=is_best)
        self._show(figures)
        self.interruption.check()

    def speed(self) -> str:
        """Returns what was measured, for people."""
        if self.measured is None or not self.measured.seconds:
            return ""
        waited = self.measured.waited / self.measured.seconds
        return f"; {self.measured_images / self.measured.seconds:,.0f} images/s, {waited:.1%} of it waiting for input"

    def _between(self) -> None:
        """Saves within an epoch if it is time to, or if this process is asked to end, which it does then."""
        asked = self.interruption.signal is not None
        if asked or time.monotonic() - self.saved_at >= self.settings.checkpoint_minutes * 60:
            self._save()
        self.interruption.check()

    def _budget_is_spent(self) -> bool:
        budget = self.settings.time_budget_minutes
        return budget is not None and self.state.spent_s >= budget * 60

    def _note_cut(self, epoch: int, steps: int) -> None:
        if self.state.step < steps:
            self.state.notes.append(
                f"epoch {epoch + 1} of {self.phase.name} ended after {self.state.step} of {steps} steps"
            )

    def _count_time(self) -> None:
        now = time.monotonic()
        self.state.spent_s += now - self.counted_at
        self.counted_at = now

    def _measure(self, sums: Sums, share: float) -> None:
        if self.measured is None:
            self.measured = Sums()
        else:
            self.measured = _added(self.measured, sums)
            self.measured_images += share * self.phase.train.images

    def _scored(self) -> Sums:
        total = Sums()
        feed = self.phase.validation
        for _, sums in self.steps.run(feed.scoring(), feed.scoring_steps(), training=False):
            total = _added(total, sums)
            self._between()
        return total

    def _figures(self, validation: Sums, rate: float) -> dict[str, Any]:
        sums = self.state.sums
        return {
            PHASE: self.phase.name,
            LOSS: sums.loss / sums.weight,
            ACCURACY: sums.right / sums.weight,
            VALIDATION_LOSS: validation.loss / validation.weight,
            VALIDATION_ACCURACY: validation.right / validation.weight,
            RATE: rate,
            SECONDS: round(sums.seconds + validation.seconds, 3),
            WAITED: round(sums.waited / max(sums.seconds, 1e-9), 4),
        }

    def _save(self, *, best: bool = False) -> None:
        self.state.model = values_of(self.phase.model.variables)
        self.state.optimizer = values_of(self.optimizer.variables)
        if best:
            self.state.best = self.state.model
        self.save(self.state)
        self.saved_at = time.monotonic()

    def _show(self, figures: dict[str, Any]) -> None:
        shown = ", ".join(
            f"{name} {figures[name]:.4f}" for name in (LOSS, ACCURACY, VALIDATION_LOSS, VALIDATION_ACCURACY)
        )
        done, most = self.state.epochs_of(self.phase.name), self.phase.learning.max_epochs
        print(Progress("train", done, most, "epochs", f"{self.phase.name}, {shown}"), flush=True)


def _added(one: Sums, other: Sums) -> Sums:
    return replace(one, **{name: value + getattr(other, name) for name, value in vars(one).items()})


def _out_of_memory(settings: TrainSettings, devices: Devices) -> str:
    size = settings.batch_size
    remedy = f"try train.batch_size={size // 2}" if size > 1 else "train with a smaller train.image_size_px"
    each = " on each device" if devices.count > 1 else ""
    return f"out of memory with train.batch_size={size}{each} at train.image_size_px={settings.image_size_px}; {remedy}"
