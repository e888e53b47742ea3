"""Settings of snapshot."""

from typing import Literal

from pydantic import Field, field_validator

from petalflow.cron import Cron
from petalflow.errors import UsageError
from petalflow.settings import StepSettings, TimeZone


class SnapshotSettings(StepSettings):
    """How a source is looked at, and when a run has nothing to do."""

    section = "snapshot"

    if_changed: bool = Field(
        False, description="do nothing when source, settings and code are those of the live release"
    )
    timezone: TimeZone = Field("UTC", description="time zone of the dates in a source like photos/{date}")
    ready_file: str | None = Field(
        None,
        min_length=1,
        description="file that whoever fills the source writes last, like _SUCCESS; none: no such file",
    )
    source_wait_minutes: float = Field(0, ge=0, description="how long to wait for a source that is not there yet")
    if_missing: Literal["fail", "skip"] = Field(
        "fail", description="what to do if the source is not there then: fail, or skip this run"
    )
    overlap: Literal["wait", "leave"] = Field(
        "wait", description="what to do while another run of the same name goes on: wait for its end, or leave"
    )
    overlap_wait_minutes: float = Field(1440, gt=0, description="how long to wait for another run, before failing")
    lease_minutes: float = Field(
        60, gt=0, description="after so long without a sign of life, another run takes this one for dead"
    )

    due: str | None = Field(
        None,
        description="cron line and zone, '0 3 * * 1 Europe/Berlin': all but the first start since then have nothing to "
        "do; set by schedules on Kubeflow, where starts cannot wait for a time in the zone",
    )
    due_since: str | None = Field(None, description="when that schedule was made, ISO 8601; what was due then is over")

    @field_validator("due")
    @classmethod
    def _cron_and_zone(cls, due: str | None) -> str | None:
        if due is not None:
            expression, _, zone = due.rpartition(" ")
            try:
                Cron.of(expression, zone)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return due
