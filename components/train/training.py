"""A training: what all of its phases share, how a phase is run or skipped, and what is saved in between."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras

from components.train.augmentation import make_augmentation
from components.train.checkpoints import Checkpoints
from components.train.data import Batching, Feed, make_image_feed
from components.train.devices import Devices
from components.train.interruption import Interruption
from components.train.phase import NaNLossError, Phase, budget_spent, run_phase
from components.train.settings import TrainSettings
from components.train.state import TrainingState, assign, check_origin, copy_values, describe_origin
from components.train.steps import Objective, PhaseSchedule
from petalflow.dataset import Dataset
from petalflow.model.task import Task

log = logging.getLogger(__name__)


@dataclass
class Training:
    """What the phases of a training share.

    Attributes:
        dataset: What is trained on.
        settings: The settings of train.
        task: The task that the network learns.
        devices: What computes.
        objective: The loss to minimize.
        state: How far the training is.
        interruption: The request to stop the process, if there is one.
        checkpoints: Where the state is saved, or None.
        warm_start_uri: Address of the release that a warm start begins with; "" if there is none.
    """

    dataset: Dataset
    settings: TrainSettings
    task: Task
    devices: Devices
    objective: Objective
    state: TrainingState
    interruption: Interruption
    checkpoints: Checkpoints | None
    warm_start_uri: str = ""

    def resumable_states(self) -> Iterator[TrainingState]:
        """Yields the states to start from: the saved ones, newest first, then a new one.

        Raises:
            UsageError: If the saved states belong to another training.
        """
        origin = describe_origin(self.dataset, self.settings, self.warm_start_uri)
        if self.checkpoints and self.checkpoints.found:
            for state in self.checkpoints.states():
                check_origin(state.origin, origin, self.checkpoints.uri)
                state.origin = origin
                step = f", step {state.step}" if state.step else ""
                log.info("resuming after epoch %d%s", state.epochs, step)
                yield state
            log.warning("no usable checkpoint is left at %s; starting from scratch", self.checkpoints.uri)
        yield TrainingState(origin=origin)

    def run(self, index: int, make: Callable[[], Phase], trained: keras.Model | None = None) -> None:
        """Runs a phase, unless it was finished before this training was resumed.

        Args:
            index: Its index, from 0.
            make: Makes the phase and its feeds, which may take long.
            trained: What the phase trains that later phases, or the end, build on. A resumed training takes it from the
                state; if None, the phase is made again.
        """
        state = self.state
        if state.phase > index:
            if trained is not None and state.phase == index + 1:
                assign(trained.variables, state.trained)
            return
        if state.phase < index:
            state.phase, state.model, state.optimizer, state.best = index, [], [], []
        if index and (why := budget_spent(state, self.settings)):
            log.info("phase %d is skipped: %s", index + 1, why)
            return
        phase = self._make_timed(make)
        try:
            run_phase(phase, state, self.settings, self.objective, self.devices, self.interruption, self.save)
        except NaNLossError:
            self._remove_checkpoints()  # resuming would end here again
            raise
        if trained is not None:
            state.phase, state.model, state.optimizer, state.best = index + 1, [], [], []
            state.trained = copy_values(trained.variables)
            self.save(state)
        if self.checkpoints:
            self.checkpoints.flush()

    def _make_timed(self, make: Callable[[], Phase]) -> Phase:
        """Makes a phase; the time counts towards the budget, even if the process is asked to stop meanwhile."""
        began = time.monotonic()
        try:
            return make()
        except (KeyboardInterrupt, SystemExit):
            self.state.spent_s += time.monotonic() - began
            began = time.monotonic()
            self.save(self.state)
            raise
        finally:
            self.state.spent_s += time.monotonic() - began

    def note(self, text: str) -> None:
        """Logs a note and keeps it for model.json, once even if a resumed training repeats it."""
        log.info("%s", text)
        if text not in self.state.notes:
            self.state.notes.append(text)

    def save(self, state: TrainingState) -> None:
        """Saves the state, if there is a folder for it."""
        if self.checkpoints:
            self.checkpoints.save(state)

    def _remove_checkpoints(self) -> None:
        if self.checkpoints:
            self.checkpoints.remove()

    def batching(self) -> Batching:
        """Returns how images are batched."""
        return Batching(
            self.settings.batch_size * self.devices.count,
            self.settings.seed,
            self.settings.balance,
            self.devices.whole_batches,
        )

    def image_feed(self, split: str) -> Feed:
        """Returns the feed of a split's images; those of the train split are augmented."""
        augment = self.settings.augment
        augmentation = make_augmentation(augment) if split == "train" and augment.is_on else None
        return make_image_feed(
            self.dataset, split, self.settings.size_px, self.batching(), self.settings.cache_mib, augmentation
        )

    def schedule(self) -> PhaseSchedule:
        """Returns the schedule of all phases except fine-tuning."""
        settings = self.settings
        rate = settings.learning_rate * self.devices.count
        return PhaseSchedule(rate, settings.warmup_epochs, settings.decay == "cosine", settings.max_epochs)
