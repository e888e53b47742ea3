"""Schedules on Vertex AI: its scheduler creates each job from the template that is stored with the schedule.

The template never changes, so its jobs cannot have a run id of our own: they are recorded under the service's id.
"""

import concurrent.futures
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, cast

from petalflow.errors import UsageError
from pipeline.schedule import Schedule, ScheduleSpec, schedule_title
from pipeline.settings import VertexSettings
from pipeline.targets.cluster import ClusterSchedules, Unreachable, compile_for, scheduled_arguments
from pipeline.targets.vertex.api import REQUEST_S, Api, retry_unavailable
from pipeline.targets.vertex.target import Vertex, vertex_job_id

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import Schedule as Message

_LONGEST_TITLE = 128
_CRON = re.compile(r"(?:(?:CRON_)?TZ=(?P<timezone>\S+) )?(?P<expression>.+)")


@dataclass(frozen=True)
class VertexSchedules(ClusterSchedules["Message"]):
    """The schedules of a project and location.

    Attributes:
        settings: Project, location, container images, machines.
    """

    settings: VertexSettings

    def check(self, spec: ScheduleSpec) -> None:
        """Checks the length of the name; the service understands every time zone."""
        if len(schedule_title(spec.request.name)) > _LONGEST_TITLE:
            longest = _LONGEST_TITLE - len(schedule_title(""))
            raise UsageError(
                f"--name {spec.request.name} is too long for a schedule of Vertex AI; use at most {longest} characters"
            )

    def pause(self, name: str) -> None:
        """Pauses the schedule if it is active; a run in progress continues."""
        for message in self._named(name):
            if message.state.name == "ACTIVE":
                with self._api.translate_errors(message.name):
                    self._api.schedules.pause_schedule(name=message.name, timeout=REQUEST_S)

    def resume(self, name: str) -> None:
        """Resumes the schedule if it is paused.

        Raises:
            UsageError: If it has ended, which only a change outside Petalflow can cause.
        """
        for message in self._named(name):
            if message.state.name == "COMPLETED":
                raise UsageError(f"schedule {name} has ended, and Vertex AI cannot resume it; create it with --replace")
            if message.state.name == "PAUSED":
                with self._api.translate_errors(message.name):
                    # No catch-up: the next run sees the photos that the missed ones would have seen.
                    request = {"name": message.name, "catch_up": False}
                    self._api.schedules.resume_schedule(request=request, timeout=REQUEST_S)

    @cached_property
    def _api(self) -> Api:
        return Api(self.settings)

    def _entries(self) -> "Sequence[Message]":
        """Returns our schedules, recognized by their title and the name in their parameters."""
        request = {"parent": self._api.parent, "filter": f'display_name:"{schedule_title("*")}"'}
        with self._api.translate_errors():
            found = self._api.schedules.list_schedules(request=request, retry=retry_unavailable(), timeout=REQUEST_S)
            return [message for message in found if message.display_name == schedule_title(_parameter(message, "name"))]

    def _entry(self, spec: ScheduleSpec) -> "Message":
        from google.cloud.aiplatform_v1 import Schedule as Message

        request, target = spec.request, Vertex(self.settings)
        title, arguments = schedule_title(request.name), scheduled_arguments(request, target)
        job = compile_for(target, request, lambda file: self._api.job(file, request, title, arguments))
        return Message(
            display_name=title,
            cron=f"TZ={spec.cron.timezone} {spec.cron.expression}",
            # Without a job id: with one, the second job would be rejected.
            create_pipeline_job_request={"parent": self._api.parent, "pipeline_job": job},
            # These two limit how many runs are started at a time, not how many jobs run. Whether a run waits for
            # another or leaves is decided by the lock in the pipeline, which also covers runs started by hand and
            # leaves a record.
            max_concurrent_run_count=1,
            allow_queueing=request.configuration.snapshot.overlap == "wait",
        )

    def _create(self, entry: "Message") -> "Message":
        with self._api.translate_errors():
            created: Message = self._api.schedules.create_schedule(
                parent=self._api.parent, schedule=entry, timeout=REQUEST_S
            )
            return created

    def _delete(self, entry: "Message") -> None:
        """Deletes a schedule and waits until it is gone."""
        with self._api.translate_errors(entry.name):
            operation = self._api.schedules.delete_schedule(name=entry.name, timeout=REQUEST_S)
            try:
                operation.result(timeout=REQUEST_S)  # type: ignore[no-untyped-call]
            except concurrent.futures.TimeoutError:
                raise Unreachable(
                    f"Vertex AI, {entry.name}: the deletion is taking long; "
                    "petalflow schedule list shows when it is done"
                ) from None

    def _start(self, entry: "Message", run_id: str, trigger: str) -> str:
        from google.cloud.aiplatform_v1 import PipelineJob

        job = PipelineJob(entry.create_pipeline_job_request.pipeline_job)
        job.display_name = run_id[:_LONGEST_TITLE]
        job.runtime_config.parameter_values["run_id"] = run_id
        job.runtime_config.parameter_values["trigger"] = trigger
        return self._api.link(self._api.create_job(job, vertex_job_id(run_id)))

    def _id(self, entry: "Message") -> str:
        return str(entry.name)

    def _title(self, entry: "Message") -> str:
        return str(entry.display_name)

    def _schedule(self, entry: "Message") -> Schedule:
        cron = _CRON.fullmatch(entry.cron)
        last, idle = entry.last_scheduled_run_response, entry.state.name != "ACTIVE"
        return Schedule(
            name=_parameter(entry, "name"),
            on="vertex",
            cron=cron["expression"] if cron else entry.cron,
            timezone=(cron and cron["timezone"]) or "UTC",
            paused=idle,
            next_run=None if idle else cast(datetime | None, entry.next_run_time),
            last_run=cast(datetime | None, last.scheduled_run_time),
            source=_parameter(entry, "source"),
            registry=_parameter(entry, "registry"),
            record_uri=_parameter(entry, "record_uri"),
            link=self._api.link(entry.name),
            response=" ".join(last.run_response.split()),
        )


def _parameter(message: "Message", name: str) -> str:
    job = message.create_pipeline_job_request.pipeline_job
    return str(job.runtime_config.parameter_values.get(name, ""))
