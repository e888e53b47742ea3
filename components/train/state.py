"""The state of a training: what is needed to resume it, the metrics of its epochs, and what it is the state of."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from components.train.settings import TrainSettings
from petalflow.dataset import Dataset
from petalflow.errors import PetalflowError, UsageError
from petalflow.settings import flat

Arrays = list[NDArray[np.generic]]

# Figures of an epoch, in history.json: a name -> its values, epoch by epoch.
PHASE, LOSS, ACCURACY, RATE, SECONDS, WAITED = "phase", "loss", "accuracy", "learning_rate", "seconds", "waited"
VALIDATION_LOSS, VALIDATION_ACCURACY = "val_loss", "val_accuracy"


class DoesNotFitError(PetalflowError):
    """A state is of another network than this one."""


@dataclass
class Sums:
    """What has been summed up over the batches of an epoch so far.

    Attributes:
        loss: Weighted losses.
        right: Weighted right answers.
        weight: Weights.
        seconds: Time spent.
        waited: Part of it that the device waited for input.
    """

    loss: float = 0.0
    right: float = 0.0
    weight: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0


@dataclass
class TrainingState:
    """How far a training has come.

    Attributes:
        phase: Index of the phase that goes on.
        step: Batches done of the epoch that goes on.
        sums: Of those batches.
        history: Name of a figure -> its value in each epoch that is done, of all phases.
        best_epoch: Index of the best of them, or None.
        best_figure: Its validation figure.
        model: The variables of the phase's network, random state included; [] before its first checkpoint.
        optimizer: The optimizer's variables.
        best: Of the phase's network, at the best epoch of this phase or one before.
        trained: What the phase before this one has trained, at its best: the variables of the part that later ones
            build on.
        spent_s: Seconds of training so far, of all processes.
        origin: What it is the state of; see `origin_of`.
        notes: Why it is as it is, for people: what the recipe chose, why it stopped.
    """

    phase: int = 0
    step: int = 0
    sums: Sums = field(default_factory=Sums)
    history: dict[str, list[Any]] = field(default_factory=dict)
    best_epoch: int | None = None
    best_figure: float | None = None
    model: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)
    trained: Arrays = field(default_factory=list)
    spent_s: float = 0.0
    origin: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many epochs are done, of all phases."""
        return len(self.history.get(PHASE, []))

    def epochs_of(self, phase: str) -> int:
        """Returns how many epochs of a phase are done."""
        return self.history.get(PHASE, []).count(phase)

    def add_epoch(self, figures: dict[str, Any], best_by: str) -> bool:
        """Adds the figures of an epoch; tells whether it is the best so far.

        Args:
            figures: Name -> value.
            best_by: Which figure decides: "val_loss" (lowest) or "val_accuracy" (highest). One that is no number is
                never the best.
        """
        for name, value in figures.items():
            self.history.setdefault(name, []).append(value)
        figure = figures[best_by] if best_by == VALIDATION_ACCURACY else -figures[best_by]
        # Of a network without numbers some answers are right too.
        is_number = math.isfinite(figure) and math.isfinite(figures[VALIDATION_LOSS])
        is_best = is_number and (self.best_figure is None or figure > self.best_figure)
        if is_best:
            self.best_epoch, self.best_figure = self.epochs - 1, float(figure)
        return is_best

    def history_json(self) -> str:
        """Returns the text of history.json, with null for what is no number."""
        history = {
            name: [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]
            for name, values in self.history.items()
        }
        return json.dumps(history, indent=1, allow_nan=False)

    def best_of(self, name: str) -> Any:
        """Returns a figure of the best epoch.

        Raises:
            PetalflowError: If no epoch's loss was a number.
        """
        if self.best_epoch is None:
            raise PetalflowError("the validation loss is not a number; train with a lower train.learning_rate")
        return self.history[name][self.best_epoch]


def values_of(variables: Sequence[keras.Variable]) -> Arrays:
    """Returns copies of the values of variables: what numpy() gives may be the memory that the next step writes to."""
    return [np.array(variable.numpy()) for variable in variables]


def assign(variables: Sequence[keras.Variable], values: Arrays) -> None:
    """Gives variables these values.

    Raises:
        DoesNotFitError: If they are not as many, or of other shapes; no variable is changed then.
    """
    wanted, given = [tuple(variable.shape) for variable in variables], [value.shape for value in values]
    if wanted != given:
        here, there = (f"{sum(map(math.prod, shapes))} numbers in {len(shapes)}" for shapes in (wanted, given))
        raise DoesNotFitError(f"it holds {there} variables, and the network has {here}")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


# They decide when it ends, how often it is saved and where inputs wait, not what is learned.
_MAY_CHANGE = frozenset(
    {"patience_epochs", "target_accuracy", "target_loss", "time_budget_minutes"}
    | {"checkpoint_minutes", "cache_mib", "cache_disk_mib"}
)


def origin_of(dataset: Dataset, settings: TrainSettings, baseline: str) -> dict[str, Any]:
    """Returns what is kept with a state: a hash of the dataset, classes, settings, address of the baseline or ""."""
    return {
        "dataset": dataset.digest(),
        "classes": list(dataset.classes),
        "settings": settings.model_dump(mode="json"),
        "baseline": baseline,
    }


def check_origin(was: dict[str, Any], now: dict[str, Any], uri: str) -> None:
    """Checks that a state is of this training.

    When a training ends, how often it is saved and its budgets of memory and disk may be other ones now; and the
    number of epochs, unless the learning rate falls with it.

    Args:
        was: Origin of the state that was found.
        now: What `origin_of` gives now.
        uri: Where the state was found.

    Raises:
        UsageError: If it is not. The state stays as it is.
    """
    if why := _difference(was, now):
        raise UsageError(f"the state at {uri} is of another training ({why}); give another --state, or remove it")


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    if was["classes"] != now["classes"]:
        return f"its classes are {', '.join(was['classes'])}, and now {', '.join(now['classes'])}"
    if was.get("dataset") != now["dataset"]:
        return "its dataset has other images, or the same in other splits"
    if was.get("baseline", "") != now["baseline"]:
        return f"it began with {was.get('baseline') or 'no release'}, and now with {now['baseline'] or 'none'}"
    before, after = flat(was["settings"]), flat(now["settings"])
    free = _MAY_CHANGE | ({"max_epochs"} if after["decay"] == "none" else set())
    changed = [name for name in after if name not in free and before.get(name, after[name]) != after[name]]
    return ", ".join(f"its train.{name} is {before[name]}, and now {after[name]}" for name in changed)
