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
from components.train.devices import Devices, describe_out_of_memory
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
    copy_values,
)
from components.train.steps import Objective, PhaseSchedule, Steps, make_optimizer
from petalflow.errors import PetalflowError
from petalflow.progress import Progress

log = logging.getLogger(__name__)

# A loss this many times the lowest so far, and above that of guessing, comes from steps too large to recover from.
_DIVERGED = 10.0

Save = Callable[[TrainingState], None]


class NaNLossError(PetalflowError):
    """Every epoch had a loss of NaN: there is nothing to keep, nor to resume from."""


@dataclass(frozen=True)
class Phase:
    """What is trained in a phase, and on what.

    Attributes:
        name: "from scratch", "head" or "fine-tuning".
        model: From what the feeds yield to the network's outputs. It shares its variables with the whole network.
        train: Feeds the train split.
        validation: Feeds the validation split, which decides which epoch is the best.
        schedule: The length of the phase and its learning rate.
    """

    name: str
    model: keras.Model
    train: Feed
    validation: Feed
    schedule: PhaseSchedule


def run_phase(
    phase: Phase,
    state: TrainingState,
    settings: TrainSettings,
    objective: Objective,
    devices: Devices,
    interruption: Interruption,
    save: Save,
) -> None:
    """Trains until there is a reason to stop; the network then has the best weights so far.

    Args:
        phase: What to train.
        state: The state of the training; updated as it proceeds.
        settings: The settings of train.
        objective: The loss to minimize.
        devices: What to compute on.
        interruption: Checked after every execution.
        save: Saves the state; called after every epoch, every `checkpoint_minutes`, and before an early end.

    Raises:
        DoesNotFitError: If the state belongs to another network.
        NaNLossError: If every epoch had a loss of NaN.
        PetalflowError: If the batch does not fit into memory.
    """
    steps = phase.train.steps(0)
    with devices.strategy.scope():
        optimizer = make_optimizer(settings, phase.schedule, steps)
        optimizer.build(phase.model.trainable_variables)
    if state.model:
        assign(phase.model.variables, state.model)
        assign(optimizer.variables, state.optimizer)
    if not state.best:
        state.best = copy_values(phase.model.variables)
    run = _Run(phase, state, settings, Steps(phase.model, optimizer, objective, devices), optimizer, interruption, save)
    # Set until the end, although the state is saved between epochs: an exception raised while TensorFlow computes, or
    # while Python frees an epoch's objects, crashes the process or is lost. `run` checks often enough.
    interruption.unsaved = True
    try:
        while not (why := run.reason_to_stop(objective.chance_loss)):
            run.epoch()
    except tf.errors.ResourceExhaustedError as error:
        raise PetalflowError(describe_out_of_memory(settings, devices)) from error
    interruption.unsaved = False
    if state.best_epoch is None:
        raise NaNLossError(why)
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
    # Sums of this process, without the first execution, in which TensorFlow traces.
    measured: Sums | None = None
    measured_images: float = 0.0

    def reason_to_stop(self, chance_loss: float) -> str:
        return reason_to_stop(self.state, self.settings, self.phase.name, self.phase.schedule, chance_loss)

    def epoch(self) -> None:
        """Trains for an epoch, or the rest of one, and scores the validation split."""
        state, number = self.state, self.state.epochs_in(self.phase.name)
        batches = self.phase.train.training(number, skip=state.step)
        steps = self.phase.train.steps(number)
        for done, sums in self.steps.run(batches, steps - state.step, training=True):
            state.step += done
            state.sums = _add(state.sums, sums)
            self._measure(sums, done / steps)
            self._count_time()
            if not math.isfinite(state.sums.loss) or self._budget_is_spent():
                self._note_truncation(number, steps)
                break
            self._save_if_due()
        validation = self._score() if math.isfinite(state.sums.loss) else Sums(math.nan, 0, 1)
        metrics = self._metrics(validation, self.phase.schedule.rate_in_epoch(number, steps))
        is_best = state.add_epoch(metrics, self.settings.best)
        state.step, state.sums = 0, Sums()
        self._count_time()
        self._save(best=is_best)
        self._print_progress(metrics)
        self.interruption.check()

    def speed(self) -> str:
        """Returns the measured speed as text."""
        if self.measured is None or not self.measured.seconds:
            return ""
        waited = self.measured.waited / self.measured.seconds
        speed = self.measured_images / self.measured.seconds
        return f"; {speed:,.0f} images/s, {waited:.1%} of the time waiting for input"

    def _save_if_due(self) -> None:
        """Saves within an epoch if it is time to or if this process was asked to stop, and then stops it."""
        stopping = self.interruption.signal is not None
        if stopping or time.monotonic() - self.saved_at >= self.settings.checkpoint_minutes * 60:
            self._save()
        self.interruption.check()

    def _budget_is_spent(self) -> bool:
        budget = self.settings.time_budget_minutes
        return budget is not None and self.state.spent_s >= budget * 60

    def _note_truncation(self, epoch: int, steps: int) -> None:
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
            self.measured = _add(self.measured, sums)
            self.measured_images += share * self.phase.train.images

    def _score(self) -> Sums:
        total = Sums()
        feed = self.phase.validation
        for _, sums in self.steps.run(feed.scoring(), feed.scoring_steps(), training=False):
            total = _add(total, sums)
            self._save_if_due()
        return total

    def _metrics(self, validation: Sums, rate: float) -> dict[str, Any]:
        sums = self.state.sums
        return {
            PHASE: self.phase.name,
            LOSS: sums.loss / sums.weight,
            ACCURACY: sums.correct / sums.weight,
            VALIDATION_LOSS: validation.loss / validation.weight,
            VALIDATION_ACCURACY: validation.correct / validation.weight,
            RATE: rate,
            SECONDS: round(sums.seconds + validation.seconds, 3),
            WAITED: round(sums.waited / max(sums.seconds, 1e-9), 4),
        }

    def _save(self, *, best: bool = False) -> None:
        self.state.model = copy_values(self.phase.model.variables)
        self.state.optimizer = copy_values(self.optimizer.variables)
        if best:
            self.state.best = self.state.model
        self.save(self.state)
        self.saved_at = time.monotonic()

    def _print_progress(self, metrics: dict[str, Any]) -> None:
        shown = ", ".join(
            f"{name} {metrics[name]:.4f}" for name in (LOSS, ACCURACY, VALIDATION_LOSS, VALIDATION_ACCURACY)
        )
        done, total = self.state.epochs_in(self.phase.name), self.phase.schedule.max_epochs
        print(Progress("train", done, total, "epochs", f"{self.phase.name}, {shown}"), flush=True)


def _add(one: Sums, other: Sums) -> Sums:
    return replace(one, **{name: value + getattr(other, name) for name, value in vars(one).items()})


def reason_to_stop(
    state: TrainingState, settings: TrainSettings, phase: str, schedule: PhaseSchedule, chance_loss: float
) -> str:
    """Returns why a phase ends after the finished epochs, or "" if it continues.

    Args:
        state: The state of the training.
        settings: The settings of train.
        phase: The phase's name.
        schedule: Its length and learning rate.
        chance_loss: The loss of guessing, in nats.
    """
    if why := budget_spent(state, settings):
        return why
    epochs = [index for index, name in enumerate(state.history.get(PHASE, [])) if name == phase]
    if not epochs:
        return ""
    last = epochs[-1]
    losses = [state.history[LOSS][index] for index in epochs]
    if problem := _describe_divergence(losses, state.history[VALIDATION_LOSS][last], chance_loss):
        setting = "train.fine_tune.learning_rate" if state.phase else "train.learning_rate"
        return f"{problem} at a learning rate of {schedule.peak_rate:.3g}; train with a lower {setting}"
    accuracy, loss = state.history[ACCURACY][last], state.history[LOSS][last]
    if settings.target_accuracy is not None and accuracy >= settings.target_accuracy:
        return f"training accuracy {accuracy:.4f} reached the target {settings.target_accuracy:g}"
    if settings.target_loss is not None and loss < settings.target_loss:
        return f"training loss {loss:.4f} is below the target {settings.target_loss:g}"
    # If the best epoch is an earlier phase's, this phase still has its own patience to beat it.
    since = last - max(state.best_epoch if state.best_epoch is not None else -1, epochs[0] - 1)
    if since >= settings.patience_epochs:
        return f"{settings.best} has not improved for {since} epochs"
    return f"all {len(epochs)} epochs are done" if len(epochs) >= schedule.max_epochs else ""


def budget_spent(state: TrainingState, settings: TrainSettings) -> str:
    """Returns a message if the time budget is spent and at least one epoch is finished, else ""."""
    budget = settings.time_budget_minutes
    if budget is None or state.spent_s < budget * 60 or not state.epochs:
        return ""
    return f"the time budget of {budget:g} minutes is used up"


def _describe_divergence(losses: list[float], validation_loss: float, chance_loss: float) -> str:
    last = losses[-1]
    if not math.isfinite(last) or not math.isfinite(validation_loss):
        return "the loss is NaN" if math.isnan(last) or math.isnan(validation_loss) else "the loss is infinite"
    if last > _DIVERGED * min(losses) and last > 2 * chance_loss:
        return f"the loss rose from {min(losses):.3g} to {last:.3g}"
    return ""
