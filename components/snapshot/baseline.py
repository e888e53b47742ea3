"""The release that a training begins with."""

from collections.abc import Mapping
from typing import Any

from petalflow import registry


def baseline_of_training(settings: Mapping[str, Any], registry_uri: str, name: str, run_id: str) -> str:
    """Returns the address of the live release if train is to begin with its weights, and there is one; else "".

    Train is answered from the cache when its arguments are those of a run before: which release is live stands in
    them only if it matters.

    Args:
        settings: Of train.
        registry_uri: The registry.
        name: The name that is released under.
        run_id: The run, whose own release does not count.

    Raises:
        UsageError: If the live release does not say what it was made from.
    """
    if not settings.get("warm_start"):
        return ""
    live = registry.live(registry_uri, name, besides_run=run_id)
    return live.uri if live else ""
