"""What a training's state is the state of: another dataset or other settings cannot go on from it."""

from typing import Any

from components.train.settings import TrainSettings
from components.train.state import TrainingState
from petalflow.dataset import Dataset
from petalflow.errors import UsageError
from petalflow.settings import flat

# They decide when it ends, how often it is saved and where inputs wait, not what is learned.
_MAY_CHANGE = frozenset(
    {"patience_epochs", "target_accuracy", "target_loss", "time_budget_minutes"}
    | {"checkpoint_minutes", "cache_mib", "cache_disk_mib"}
)


def origin_of(dataset: Dataset, settings: TrainSettings) -> dict[str, Any]:
    """Returns what is kept with a state: a hash of the dataset, classes and settings."""
    return {
        "dataset": dataset.digest(),
        "classes": list(dataset.classes),
        "settings": settings.model_dump(mode="json"),
    }


def check_origin(state: TrainingState, dataset: Dataset, settings: TrainSettings, uri: str) -> None:
    """Checks that a state is of this dataset and these settings.

    When a training ends, how often it is saved and its budgets of memory and disk may be other ones now; and the
    number of epochs, unless the learning rate falls with it.

    Args:
        state: What was found.
        dataset: What is trained on now.
        settings: How it is trained now.
        uri: Where the state was found.

    Raises:
        UsageError: If it is not. The state stays as it is.
    """
    was, now = state.origin, origin_of(dataset, settings)
    if why := _difference(was, now):
        raise UsageError(f"the state at {uri} is of another training ({why}); give another --state, or remove it")


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    if was["classes"] != now["classes"]:
        return f"its classes are {', '.join(was['classes'])}, and now {', '.join(now['classes'])}"
    if was.get("dataset") != now["dataset"]:
        return "its dataset has other images, or the same in other splits"
    before, after = flat(was["settings"]), flat(now["settings"])
    free = _MAY_CHANGE | ({"max_epochs"} if after["decay"] == "none" else set())
    changed = [name for name in after if name not in free and before.get(name, after[name]) != after[name]]
    return ", ".join(f"its train.{name} is {before[name]}, and now {after[name]}" for name in changed)
