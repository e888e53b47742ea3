"""What a training's state is the state of: with another dataset, baseline or settings it cannot go on."""

from typing import Any

from components.train.settings import TrainSettings
from petalflow.dataset import Dataset
from petalflow.errors import UsageError
from petalflow.settings import flat

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
