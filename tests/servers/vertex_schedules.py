"""The scheduler of the fake Vertex AI; a test decides when a schedule is due.

Documented in the definitions of Schedule and ScheduleService and on the page schedule-pipeline-run. In particular, jobs
that exist already are neither paused nor cancelled when their schedule is paused (PauseSchedule) or updated
(UpdateSchedule), and the page compares an update with a deletion followed by a creation, which drops queued runs only.
So a deletion leaves running jobs alone, but no page says so in as many words.
"""

import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from cronsim import CronSim
from google.cloud import aiplatform_v1 as vertex
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from tests.servers.cron import problems_with_zone
from tests.servers.vertex_requests import PARENT, Refused, check_job, check_parent

_LARGEST_PAGE = 2
_State = vertex.Schedule.State
Start = Callable[[vertex.CreatePipelineJobRequest], vertex.PipelineJob]


@dataclass
class Schedules:
    """The schedules of the service.

    Attributes:
        start: Creates a job.
        known: By resource name.
    """

    start: Start
    known: dict[str, vertex.Schedule] = field(default_factory=dict)
    _deletions: dict[str, str] = field(default_factory=dict)
    _made: int = 0

    @property
    def one(self) -> vertex.Schedule:
        """The only schedule."""
        (schedule,) = self.known.values()
        return schedule

    def fire(self, name: str) -> vertex.PipelineJob | None:
        """Does what the service does when a schedule is due; returns the job, or None if it is paused.

        max_concurrent_run_count and allow_queueing are not simulated: they limit how many runs are started at a time,
        not how many jobs run (documented, Schedule); a job is started in an instant here.
        """
        schedule = self.known[name]
        if schedule.state != _State.ACTIVE:
            return None
        last = schedule.last_scheduled_run_response
        last.scheduled_run_time = schedule.next_run_time
        schedule.next_run_time = _next(schedule.cron, schedule.next_run_time)
        # Documented (RunResponse): the response to the request that starts the job, not the job's result. What it looks
        # like is assumed.
        try:
            job = self.start(schedule.create_pipeline_job_request)
        except Refused as error:
            last.run_response = f"{error.code.name}: {error}"
            return None
        job.schedule_name, last.run_response = name, job.name
        return job

    def create(self, request: vertex.CreateScheduleRequest) -> vertex.Schedule:
        check_parent(request.parent)
        schedule = vertex.Schedule(request.schedule)
        self._check(schedule)
        self._made += 1
        schedule.name, schedule.state = f"{PARENT}/schedules/{self._made}", _State.ACTIVE
        schedule.create_time = datetime.now(UTC)
        schedule.next_run_time = _next(schedule.cron, datetime.now(UTC))
        self.known[schedule.name] = schedule
        return schedule

    def get(self, request: vertex.GetScheduleRequest) -> vertex.Schedule:
        if request.name not in self.known:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"The Schedule {request.name} does not exist.")
        return self.known[request.name]

    def list(self, request: vertex.ListSchedulesRequest) -> vertex.ListSchedulesResponse:
        check_parent(request.parent)
        wanted = re.fullmatch(r'display_name:"([\w-]*)\*"', request.filter)
        # Documented (ListSchedulesRequest): the filter display_name:"my_schedule_*". Seen in the SDK, which makes its
        # objects from the list alone: the list contains each schedule's request as a whole.
        if request.filter and not wanted:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"invalid filter {request.filter}")
        prefix = wanted[1] if wanted else ""
        found = [schedule for schedule in self.known.values() if schedule.display_name.startswith(prefix)]
        begin = int(request.page_token or 0)
        end = begin + min(request.page_size or _LARGEST_PAGE, _LARGEST_PAGE)
        token = str(end) if end < len(found) else ""
        return vertex.ListSchedulesResponse(schedules=found[begin:end], next_page_token=token)

    def pause(self, request: vertex.PauseScheduleRequest) -> empty_pb2.Empty:
        return self._change(request, _State.ACTIVE, _State.PAUSED)

    def resume(self, request: vertex.ResumeScheduleRequest) -> empty_pb2.Empty:
        # Documented (ResumeSchedule): without catch_up, the next run is the first one that is due from now on.
        self.get(request).catch_up = request.catch_up
        return self._change(request, _State.PAUSED, _State.ACTIVE)

    def delete(self, request: vertex.DeleteScheduleRequest) -> operations_pb2.Operation:
        """Starts a deletion, which is carried out when its operation is asked for."""
        # Documented (the page): a schedule can be deleted regardless of its state, and what an operation is called.
        self.get(request)
        operation = f"{PARENT}/operations/{len(self._deletions) + 1}"
        self._deletions[operation] = request.name
        return operations_pb2.Operation(name=operation)

    def operation(self, request: operations_pb2.GetOperationRequest) -> operations_pb2.Operation:
        if request.name not in self._deletions:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"The Operation {request.name} does not exist.")
        self.known.pop(self._deletions[request.name], None)
        operation = operations_pb2.Operation(name=request.name, done=True)
        operation.response.Pack(empty_pb2.Empty())
        return operation

    def _change(self, request: Any, before: vertex.Schedule.State, after: vertex.Schedule.State) -> empty_pb2.Empty:
        schedule = self.get(request)
        # Documented: only a paused schedule can be resumed, and a completed one neither paused nor resumed. The code
        # and the text are assumed.
        if schedule.state != before:
            message = f"The Schedule {schedule.name} is in state {schedule.state.name}."
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, message)
        schedule.state = after
        return empty_pb2.Empty()

    def _check(self, schedule: vertex.Schedule) -> None:
        wrong = problems_with_zone(schedule.cron)
        if len(schedule.display_name) > 128 or not schedule.display_name:
            wrong.append("display_name is missing or too long")
        if schedule.max_concurrent_run_count < 1:
            wrong.append("max_concurrent_run_count must be at least 1")
        if schedule.create_pipeline_job_request.parent != PARENT:
            wrong.append("create_pipeline_job_request.parent is missing or elsewhere")
        if schedule.create_pipeline_job_request.pipeline_job_id:  # documented (page schedule-pipeline-run)
            wrong.append("create_pipeline_job_request.pipeline_job_id is not supported")
        if wrong:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "; ".join(wrong))
        check_job(schedule.create_pipeline_job_request.pipeline_job)


def _next(cron: str, time: datetime) -> datetime:
    zone, expression = re.fullmatch(r"(?:(?:CRON_)?TZ=(\S+) )?(.+)", cron).groups()  # type: ignore[union-attr]
    return next(CronSim(expression, time.astimezone(zoneinfo.ZoneInfo(zone or "UTC"))))
