"""What all phases of a training share."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras

from components.train.augmentation import make_augmentation
from components.train.checkpoints import Checkpoints
from components.train.data import Batching, Feed, image_feed
from components.train.devices import Devices
from components.train.interruption import Interruption
from components.train.phase import NoNumbersError, Phase, budget_spent, run_phase
from components.train.settings import TrainSettings
from components.train.state import TrainingState, assign, check_origin, origin_of, values_of
from components.train.steps import Learning, Objective
from petalflow.dataset import Dataset
from petalflow.model.task import Task

log = logging.getLogger(__name__)


@dataclass
class Training:
    """All that the phases of a training share.

    Attributes:
        dataset: What is trained on.
        settings: How.
        task: What is asked of the network.
        devices: What computes.
        objective: What is made small.
        state: How far it is.
        interruption: Whether it was asked to end.
        checkpoints: Where the state is kept, or None.
        baseline: Address of the release that a warm start begins with; "" if there is none.
    """

    dataset: Dataset
    settings: TrainSettings
    task: Task
    devices: Devices
    objective: Objective
    state: TrainingState
    interruption: Interruption
    checkpoints: Checkpoints | None
    baseline: str = ""

    def states(self) -> Iterator[TrainingState]:
        """Yields what to go on from: the states that are kept, the newest first, then a new one.

        Raises:
            UsageError: If they are another training's.
        """
        origin = origin_of(self.dataset, self.settings, self.baseline)
        if self.checkpoints and self.checkpoints.found:
            for state in self.checkpoints.states():
                check_origin(state.origin, origin, self.checkpoints.uri)
                state.origin = origin
                step = f", step {state.step}" if state.step else ""
                log.info("going on after epoch %d%s", state.epochs, step)
                yield state
            log.warning("there is no other checkpoint at %s; starting anew", self.checkpoints.uri)
        yield TrainingState(origin=origin)

    def run(self, index: int, make: Callable[[], Phase], trained: keras.Model | None = None) -> None:
        """Runs a phase, unless it was done before this training was taken up.

        Args:
            index: Its place, from 0.
            make: Makes it, with its feeds, which may take long.
            trained: What it trains that later phases, or the end, build on. A training that is taken up later gets
                that from the state; without it, the phase is made again to know.
        """
        state = self.state
        if state.phase > index:
            if trained is not None and state.phase == index + 1:
                assign(trained.variables, state.trained)
            return
        if state.phase < index:
            state.phase, state.model, state.optimizer, state.best = index, [], [], []
        if index and (why := budget_spent(state, self.settings)):
            log.info("phase %d is left out: %s", index + 1, why)
            return
        phase = self._made(make)
        try:
            run_phase(phase, state, self.settings, self.objective, self.devices, self.interruption, self.save)
        except NoNumbersError:
            self._forget()  # going on would end there again
            raise
        if trained is not None:
            state.phase, state.model, state.optimizer, state.best = index + 1, [], [], []
            state.trained = values_of(trained.variables)
            self.save(state)
        if self.checkpoints:
            self.checkpoints.flush()

    def _made(self, make: Callable[[], Phase]) -> Phase:
        """Makes a phase; its time counts, also if this process is asked to end meanwhile."""
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
        """Logs how it is trained, and keeps it for model.json; what is noted again after a kill stands there once."""
        log.info("%s", text)
        if text not in self.state.notes:
            self.state.notes.append(text)

    def save(self, state: TrainingState) -> None:
        """Keeps the state, if there is a place for it."""
        if self.checkpoints:
            self.checkpoints.save(state)

    def _forget(self) -> None:
        if self.checkpoints:
            self.checkpoints.remove()

    def batching(self) -> Batching:
        """Returns how images become batches."""
        return Batching(
            self.settings.batch_size * self.devices.count,
            self.settings.seed,
            self.settings.balance,
            self.devices.whole_batches,
        )

    def images(self, split: str) -> Feed:
        """Returns the feed of a split's images; those of train are varied."""
        augment = self.settings.augment
        vary = make_augmentation(augment) if split == "train" and augment.is_on else None
        return image_feed(
            self.dataset, split, self.settings.image_size_px, self.batching(), self.settings.cache_mib, vary
        )

    def learning(self) -> Learning:
        """Returns how a network learns, but for the last layers of a backbone."""
        settings = self.settings
        rate = settings.learning_rate * self.devices.count
        return Learning(rate, settings.warmup_epochs, settings.decay == "cosine", settings.max_epochs)
