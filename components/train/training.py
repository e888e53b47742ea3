"""What all phases of a training share."""

from collections.abc import Callable
from dataclasses import dataclass

from components.train import checkpoint
from components.train.augment import make_augmentation
from components.train.devices import Devices
from components.train.feeding import Batching, Feed, image_feed
from components.train.interruption import Interruption
from components.train.learning import Learning
from components.train.objective import Objective
from components.train.phase import Phase, run_phase
from components.train.settings import TrainSettings
from components.train.state import TrainingState
from petalflow.dataset import Dataset
from petalflow.model.task import Task


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
        state_uri: Where the state is kept, or None.
    """

    dataset: Dataset
    settings: TrainSettings
    task: Task
    devices: Devices
    objective: Objective
    state: TrainingState
    interruption: Interruption
    state_uri: str | None

    def run(self, index: int, make: Callable[[], Phase]) -> None:
        """Runs a phase, unless it was done before this training was taken up."""
        if self.state.phase > index:
            return
        if self.state.phase < index:
            self.state.phase, self.state.model, self.state.optimizer, self.state.best = index, [], [], []
        phase = make()
        run_phase(phase, self.state, self.settings, self.objective, self.devices, self.interruption, self.save)

    def save(self, state: TrainingState) -> None:
        """Keeps the state, if there is a place for it."""
        if self.state_uri:
            checkpoint.save(self.state_uri, state)

    def batching(self, *, scaled: int = 1) -> Batching:
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
