"""Schedules on Vertex AI: its scheduler creates a job from the one that is kept with the schedule, each time anew.

A job of a schedule has no run id of ours, since it is the same each time: its record is under the service's own id.
"""

import concurrent.futures
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, cast

from components.snapshot.settings import SnapshotSettings
from petalflow.errors import UsageError
from pipeline.compile import compile_pipeline
from pipeline.run_file import new_run_id
from pipeline.running import SUBMITTED
from pipeline.schedule import Schedule, ScheduleSpec, title_of, trigger_of
from pipeline.settings import VertexSettings
from pipeline.targets.cluster import Unreachable
from pipeline.targets.vertex.api import REQUEST_S, Api, again
from pipeline.targets.vertex.target import Vertex, job_id_of

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import Schedule as Message

_LONGEST_TITLE = 128
_CRON = re.compile(r"(?:(?:CRON_)?TZ=(?P<timezone>\S+) )?(?P<expression>.+)")


@dataclass(frozen=True)
class VertexSchedules:
    """The schedules of a project and location.

    The service gives each schedule a name of its own and lets many have the same title, so two commands that
    create one at the same moment both succeed: the later one says so. All that concerns a name then concerns both.
    What a lost answer left undone is done by the same command again, which looks first at what is there.

    Attributes:
        settings: Project, location, images, machines.
    """

    settings: VertexSettings

    def check(self, spec: ScheduleSpec) -> None:
        """Looks at the name; the service understands every time zone."""
        if len(title_of(spec.request.name)) > _LONGEST_TITLE:
            longest = _LONGEST_TITLE - len(title_of(""))
            raise UsageError(f"--name {spec.request.name} is too long for a schedule of Vertex AI; {longest} will do")

    def create(self, spec: ScheduleSpec) -> Schedule:
        """Creates a schedule that holds the whole job."""
        name, message = spec.request.name, self._message(spec)
        before = [other.name for other in self._of(name)]
        try:
            with self._api.answering():
                made = self._api.schedules.create_schedule(parent=self._api.parent, schedule=message, timeout=REQUEST_S)
        except Unreachable:
            there = [other for other in self._of(name) if other.name not in before]
            if not there:
                raise
            made = there[0]  # only the answer was lost
        for resource in before:
            self._delete(resource)
        if any(other.name != made.name for other in self._of(name)):
            raise UsageError(f"several schedules are named {name} now; delete them (one command does), and make one")
        return self._schedule(made)

    def list(self) -> list[Schedule]:
        """Asks the service."""
        return sorted(map(self._schedule, self._messages()), key=attrgetter("name"))

    def pause(self, name: str) -> None:
        """Pauses it, unless it is."""
        for message in self._of(name):
            if not _is_paused(message):
                with self._api.answering(message.name):
                    self._api.schedules.pause_schedule(name=message.name, timeout=REQUEST_S)

    def resume(self, name: str) -> None:
        """Resumes it, unless it is not paused."""
        for message in self._of(name):
            if _is_paused(message):
                with self._api.answering(message.name):
                    # What it missed is in the photos that the next run sees.
                    request = {"name": message.name, "catch_up": False}
                    self._api.schedules.resume_schedule(request=request, timeout=REQUEST_S)

    def delete(self, name: str) -> None:
        """Deletes it, and waits until it is gone."""
        for message in self._of(name):
            self._delete(message.name)

    def run_now(self, name: str) -> str:
        """Creates a job from the one that the schedule holds, with a run id of ours, and prints where it is."""
        from google.cloud.aiplatform_v1 import PipelineJob

        there = self._of(name)
        if not there:
            raise UsageError(f"there is no schedule {name} any more")
        run_id = new_run_id(name)
        job = PipelineJob(there[0].create_pipeline_job_request.pipeline_job)
        job.display_name = run_id[:_LONGEST_TITLE]
        job.runtime_config.parameter_values["run_id"] = run_id
        job.runtime_config.parameter_values["trigger"] = f"{trigger_of(name)}, now"
        print(self._api.link(self._api.create_job(job, job_id_of(run_id))))
        return SUBMITTED

    @cached_property
    def _api(self) -> Api:
        return Api(self.settings)

    def _delete(self, resource: str) -> None:
        with self._api.answering(resource):
            operation = self._api.schedules.delete_schedule(name=resource, timeout=REQUEST_S)
            try:
                operation.result(timeout=REQUEST_S)  # type: ignore[no-untyped-call]
            except concurrent.futures.TimeoutError:
                raise Unreachable(
                    f"Vertex AI, {resource}: it is being deleted, which takes long; list shows when it is gone"
                ) from None

    def _message(self, spec: ScheduleSpec) -> "Message":
        from google.cloud.aiplatform_v1 import Schedule as Message

        request, place = spec.request, Vertex(self.settings)
        arguments = {**request.parameters(place.code_version()), "run_id": "", "trigger": trigger_of(request.name)}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pipeline.yaml"
            compile_pipeline(file, place.build(request.source))
            job = self._api.job(file, request, title_of(request.name), arguments)
        snapshot = cast(SnapshotSettings, request.configuration.sections["snapshot"])
        return Message(
            display_name=title_of(request.name),
            cron=f"TZ={spec.cron.timezone} {spec.cron.expression}",
            # No id for the job: with one, the second would be refused.
            create_pipeline_job_request={"parent": self._api.parent, "pipeline_job": job},
            # These two govern how jobs are started, not how long they go on: that one run waits for another, or
            # leaves, is decided by the lock in the pipeline, which knows of runs by hand too and leaves a record.
            max_concurrent_run_count=1,
            allow_queueing=snapshot.overlap == "wait",
        )

    def _of(self, name: str) -> "Sequence[Message]":
        return [message for message in self._messages() if message.display_name == title_of(name)]

    def _messages(self) -> "Sequence[Message]":
        """Returns the schedules that are ours, by title and by what they hold."""
        request = {"parent": self._api.parent, "filter": f'display_name:"{title_of("*")}"'}
        with self._api.answering():
            found = self._api.schedules.list_schedules(request=request, retry=again(), timeout=REQUEST_S)
            return [message for message in found if message.display_name == title_of(_parameter(message, "name"))]

    def _schedule(self, message: "Message") -> Schedule:
        cron = _CRON.fullmatch(message.cron)
        last = message.last_scheduled_run_response.scheduled_run_time
        return Schedule(
            name=_parameter(message, "name"),
            on="vertex",
            cron=cron["expression"] if cron else message.cron,
            timezone=(cron and cron["timezone"]) or "UTC",
            paused=_is_paused(message),
            next_run=None if _is_paused(message) else cast(datetime | None, message.next_run_time),
            last_run=cast(datetime | None, last),
            source=_parameter(message, "source"),
            registry=_parameter(message, "registry"),
            record_uri=_parameter(message, "record_uri"),
            link=self._api.link(message.name),
        )


def _parameter(message: "Message", name: str) -> str:
    job = message.create_pipeline_job_request.pipeline_job
    return str(job.runtime_config.parameter_values.get(name, ""))


def _is_paused(message: "Message") -> bool:
    return bool(message.state.name == "PAUSED")
