"""Settings of snapshot."""

from pydantic import Field

from petalflow.settings import StepSettings


class SnapshotSettings(StepSettings):
    """How a source is looked at."""

    section = "snapshot"

    if_changed: bool = Field(
        False, description="do nothing when source, settings and code are those of the live release"
    )
