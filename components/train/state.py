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

# Metrics of an epoch; history.json maps each name to a value per epoch.
PHASE, LOSS, ACCURACY, RATE, SECONDS, WAITED = "phase", "loss", "accuracy", "learning_rate", "seconds", "waited"
VALIDATION_LOSS, VALIDATION_ACCURACY = "val_loss", "val_accuracy"


class DoesNotFitError(PetalflowError):
    """A state belongs to another network."""


@dataclass
class Sums:
    """Sums over the batches of an epoch so far.

    Attributes:
        loss: The weighted losses, in nats.
        correct: The weighted correct predictions; with several labels, the weighted shares of correct labels.
        weight: The weights.
        seconds: The time spent.
        waited: The part of it that the device waited for input, in seconds.
    """

    loss: float = 0.0
    correct: float = 0.0
    weight: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0


@dataclass
class TrainingState:
    """How far a training has come.

    Attributes:
        phase: Index of the current phase.
        step: Finished batches of the current epoch.
        sums: Sums over those batches.
        history: Name of a metric -> its value in each finished epoch, of all phases.
        best_epoch: Index of the best finished epoch, or None.
        best_value: Its value of the metric that decides, negated if lower is better.
        model: The variables of the phase's network, random state included; [] before its first checkpoint.
        optimizer: The optimizer's variables.
        best: The variables of the phase's network at the best epoch of this phase or an earlier one.
        trained: The variables that the previous phase trained and later phases build on, at their best.
        spent_s: Seconds of training so far, in all processes.
        origin: What this is the state of; see `describe_origin`.
        notes: How the training went, for people: what the recipe chose, why a phase ended.
    """

    phase: int = 0
    step: int = 0
    sums: Sums = field(default_factory=Sums)
    history: dict[str, list[Any]] = field(default_factory=dict)
    best_epoch: int | None = None
    best_value: float | None = None
    model: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)
    trained: Arrays = field(default_factory=list)
    spent_s: float = 0.0
    origin: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """The number of finished epochs, of all phases."""
        return len(self.history.get(PHASE, []))

    def epochs_in(self, phase: str) -> int:
        """Returns the number of finished epochs of a phase."""
        return self.history.get(PHASE, []).count(phase)

    def add_epoch(self, metrics: dict[str, Any], best_by: str) -> bool:
        """Adds the metrics of an epoch; returns True if it is the best so far.

        Args:
            metrics: Name -> value.
            best_by: The metric that decides: "val_loss" (lowest) or "val_accuracy" (highest). An epoch is never the
                best if the metric is not finite.
        """
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(value)
        value = metrics[best_by] if best_by == VALIDATION_ACCURACY else -metrics[best_by]
        # A network of NaN weights has a finite accuracy, too.
        is_finite = math.isfinite(value) and math.isfinite(metrics[VALIDATION_LOSS])
        is_best = is_finite and (self.best_value is None or value > self.best_value)
        if is_best:
            self.best_epoch, self.best_value = self.epochs - 1, float(value)
        return is_best

    def history_json(self) -> str:
        """Returns the text of history.json, with null for values that are not finite."""
        history = {
            name: [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]
            for name, values in self.history.items()
        }
        return json.dumps(history, indent=1, allow_nan=False)

    def best_metric(self, name: str) -> Any:
        """Returns a metric of the best epoch.

        Raises:
            PetalflowError: If no epoch had a finite loss.
        """
        if self.best_epoch is None:
            raise PetalflowError("the validation loss is NaN; train with a lower train.learning_rate")
        return self.history[name][self.best_epoch]


def copy_values(variables: Sequence[keras.Variable]) -> Arrays:
    """Returns copies of the values of variables: numpy() may return the memory that the next step writes to."""
    return [np.array(variable.numpy()) for variable in variables]


def assign(variables: Sequence[keras.Variable], values: Arrays) -> None:
    """Assigns values to variables.

    Raises:
        DoesNotFitError: If their number or shapes differ; then no variable is changed.
    """
    expected, found = [tuple(variable.shape) for variable in variables], [value.shape for value in values]
    if expected != found:
        network, state = (f"{sum(map(math.prod, shapes))} numbers in {len(shapes)}" for shapes in (expected, found))
        raise DoesNotFitError(f"it contains {state} variables, but the network has {network}")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


# These decide when a training ends, how often it is saved and where inputs are kept, not what is learned.
_MAY_CHANGE = frozenset(
    {"patience_epochs", "target_accuracy", "target_loss", "time_budget_minutes"}
    | {"checkpoint_minutes", "cache_mib", "cache_disk_mib"}
)


def describe_origin(dataset: Dataset, settings: TrainSettings, warm_start_uri: str) -> dict[str, Any]:
    """Returns what a state belongs to: the dataset's hash, the classes, the settings, the release it started from."""
    return {
        "dataset": dataset.digest(),
        "classes": list(dataset.classes),
        "settings": settings.model_dump(mode="json"),
        "baseline": warm_start_uri,  # the name of this field in the files of all versions
    }


def check_origin(was: dict[str, Any], now: dict[str, Any], uri: str) -> None:
    """Checks that a state belongs to this training.

    The settings for when to stop, how often to save and how much memory and disk to use may have changed; so may the
    number of epochs, unless the learning rate decays with it.

    Args:
        was: Origin of the state that was found.
        now: What `describe_origin` returns now.
        uri: Where the state was found.

    Raises:
        UsageError: If it does not. The state is left unchanged.
    """
    if why := _difference(was, now):
        raise UsageError(f"the state at {uri} belongs to another training ({why}); remove it, or use another folder")


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    if was["classes"] != now["classes"]:
        return f"its classes are {', '.join(was['classes'])}, now {', '.join(now['classes'])}"
    if was.get("dataset") != now["dataset"]:
        return "its dataset has other images or splits"
    if was.get("baseline", "") != now["baseline"]:
        return f"it started from {was.get('baseline') or 'no release'}, now from {now['baseline'] or 'none'}"
    before, after = flat(was["settings"]), flat(now["settings"])
    ignored = _MAY_CHANGE | ({"max_epochs"} if after["decay"] == "none" else set())
    changed = [name for name in after if name not in ignored and before.get(name, after[name]) != after[name]]
    return ", ".join(f"its train.{name} is {before[name]}, now {after[name]}" for name in changed)
