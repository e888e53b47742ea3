"""What the pipeline's records say of a trained model."""

import json
import math
from collections.abc import Mapping
from typing import Any


def artifact_metadata(info: Mapping[str, Any]) -> dict[str, str | int | float]:
    """Returns what stands beside the model among a run's artifacts: texts and numbers, as every place takes them.

    What is not known is left out: NaN and None fail the task that says them.

    Args:
        info: What model.json holds.
    """
    settings = info["settings"]
    facts = {
        "task": info["task"],
        "backbone": settings["backbone"],
        "settings": json.dumps(settings, sort_keys=True),
        "best_epoch": info["best_epoch"],
        "epochs": info["epochs"],
        "validation_accuracy": info["validation_accuracy"],
        "warm_started_from": info["warm_started_from"],
        "notes": "; ".join(info["notes"]),
        **{f"{name}_version": version for name, version in info["versions"].items()},
    }
    return {name: value for name, value in facts.items() if _is_known(value)}


def _is_known(value: object) -> bool:
    return value not in (None, "") and not (isinstance(value, float) and not math.isfinite(value))
