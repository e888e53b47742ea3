"""Settings of snapshot."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from petalflow.cron import Cron
from petalflow.errors import UsageError
from petalflow.settings import StepSettings, TimeZone


class SnapshotSettings(StepSettings):
    """What a run waits for, and when it has nothing to do."""

    section = "snapshot"
    page = "docs/schedules.md"
    common: ClassVar[Mapping[str, Any]] = {"if_changed": True, "ready_file": "_SUCCESS", "source_wait_minutes": 60}
    former_values: ClassVar[Mapping[str, Mapping[str, str]]] = {"overlap": {"leave": "skip"}}

    if_changed: bool = Field(False, description="do nothing if source, settings and code are those of the live release")
    timezone: TimeZone = Field("UTC", description="time zone of the dates in a source like photos/{date}")
    ready_file: str | None = Field(
        None,
        min_length=1,
        description="file that marks the source as complete, like _SUCCESS; null: not needed",
    )
    source_wait_minutes: float = Field(0, ge=0, description="minutes to wait for a missing or incomplete source")
    if_missing: Literal["fail", "skip"] = Field(
        "fail", description="what to do if the source is still missing after that; fail: fail the run; skip: skip it"
    )
    overlap: Literal["wait", "skip"] = Field(
        "wait",
        description="what to do while another run of the same name is active; wait: wait until it ends; skip: skip "
        "this run",
    )
    overlap_wait_minutes: float = Field(1440, gt=0, description="minutes to wait for another run before the run fails")
    lease_minutes: float = Field(
        60, gt=0, description="minutes without a heartbeat after which other runs consider this one dead"
    )

    due: str | None = Field(
        None,
        description="cron expression and time zone, like '0 3 * * 1 Europe/Berlin': of all runs started since a due "
        "time, only the first proceeds; set by schedules on Kubeflow, which start the pipeline at every time that may "
        "be due",
    )
    due_since: str | None = Field(
        None, description="when the schedule was created, ISO 8601; earlier due times are ignored"
    )

    @field_validator("due")
    @classmethod
    def _check_due(cls, due: str | None) -> str | None:
        if due is not None:
            expression, _, zone = due.rpartition(" ")
            try:
                Cron.of(expression, zone)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return due
