"""The dataset before this one, most of which is often the same."""

from petalflow import registry
from petalflow.errors import PetalflowError


def previous_dataset(registry_uri: str, name: str) -> str | None:
    """Returns where the dataset of the live release is, as its lineage says; None if there is none.

    It only makes converting faster, so it is no argument of the step, which would keep it from being cached.
    """
    try:
        live = registry.live(registry_uri, name)
    except PetalflowError:  # the steps that need it say so
        return None
    address = live.lineage.get("dataset") if live else None
    return str(address) if address else None
