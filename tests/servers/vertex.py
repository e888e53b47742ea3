"""A fake Vertex AI Pipelines and Cloud Logging over gRPC, built from Google's published messages.

It checks requests as the service does. Each time it is asked for the state of a job, it takes the job one step
further and writes the record as the steps would. Its scheduler is in vertex_schedules.py.
"""

import contextlib
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from google.cloud import aiplatform_v1 as vertex
from google.cloud.logging_v2.types import ListLogEntriesRequest, ListLogEntriesResponse, LogEntry
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from petalflow.run import record
from tests.servers.google import PROJECT, Google
from tests.servers.records import write_record
from tests.servers.vertex_requests import LOCATION, PARENT, Refused, check_job, check_parent, plain
from tests.servers.vertex_schedules import Schedules

__all__ = ["LOCATION", "PARENT", "Fault", "Play", "Vertex", "running_vertex"]

_BEFORE_VERDICT = ("snapshot", "convert", "validate", "train", "evaluate")
_STEPS = {
    record.NOTHING_NEW: ("snapshot",),
    record.REFUSED: _BEFORE_VERDICT,
    record.ACCEPTED: (*_BEFORE_VERDICT, "export", "release"),
}
_State = vertex.PipelineTaskDetail.State
_JobState = vertex.PipelineState


@dataclass(frozen=True)
class Play:
    """How a job proceeds.

    Attributes:
        outcome: accepted, refused or nothing new, if no step fails.
        fails: The step that fails.
        error: The service's message for the failure.
        log: What the step printed.
        started: True if its container started, so that there is a log.
        in_custom_job: True if its container only started a custom job, which has the log.
        cached: Steps that are answered from the cache.
        stops_at: A step that runs until the test ends it, or "".
        job_error: The service's message for a job that fails before any step.
    """

    outcome: str = record.ACCEPTED
    fails: str = ""
    error: str = ""
    log: tuple[str, ...] = ()
    started: bool = True
    in_custom_job: bool = False
    cached: tuple[str, ...] = ()
    stops_at: str = ""
    job_error: str = ""


@dataclass
class Fault:
    """A failing response.

    Attributes:
        code: The status code.
        message: The message.
        times: The number of failing responses.
        done: True if the request is carried out and only the response is lost.
    """

    code: grpc.StatusCode
    message: str = "the service is tired"
    times: int = 1
    done: bool = False


@dataclass
class Vertex:
    """A running fake service.

    Attributes:
        google: The accounts that may call it.
        host: Its HOST:PORT.
        play: How jobs created from now on proceed.
        faults: By method.
        jobs: By resource name.
        numbers: The service's own ids of the jobs, by resource name; runs without a run id are recorded under them.
        calls: The methods called, in order.
        scheduler: The schedules.
    """

    google: Google
    host: str = ""
    play: Play = field(default_factory=Play)
    faults: dict[str, Fault] = field(default_factory=dict)
    jobs: dict[str, vertex.PipelineJob] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    _acts: dict[str, Iterator[None]] = field(default_factory=dict)
    _logs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.scheduler = Schedules(self.start)

    @property
    def job(self) -> vertex.PipelineJob:
        """The only job."""
        (job,) = self.jobs.values()
        return job

    @property
    def spec(self) -> dict[str, Any]:
        """The pipeline of the only job."""
        return dict(plain(self.job)["pipelineSpec"])

    def reset(self) -> None:
        """Forgets all requests and scripted behaviour."""
        self.play, self.scheduler = Play(), Schedules(self.start)
        for kept in (self.faults, self.jobs, self.numbers, self.calls, self._acts, self._logs):
            kept.clear()

    def finish(self, name: str) -> None:
        """Takes a job to its end."""
        for _ in self._acts[name]:
            pass

    def start(self, request: vertex.CreatePipelineJobRequest) -> vertex.PipelineJob:
        """Creates a job, and names it if the request does not."""
        check_parent(request.parent)
        number = str(4_611_686_018_427_387_904 + len(self.jobs))
        job_id = request.pipeline_job_id or f"petalflow-{number}"
        if not re.fullmatch("[a-z][-a-z0-9]{0,127}", job_id):
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"pipeline_job_id {job_id} is invalid")
        check_job(request.pipeline_job)
        name = f"{request.parent}/pipelineJobs/{job_id}"
        if name in self.jobs:
            raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"The PipelineJob {name} already exists.")
        job = vertex.PipelineJob(request.pipeline_job)
        job.name, job.state, job.create_time = name, _JobState.PIPELINE_STATE_PENDING, datetime.now(UTC)
        self.jobs[name], self.numbers[name], self._acts[name] = job, number, self._acting(job, self.play)
        return job

    def get(self, request: vertex.GetPipelineJobRequest) -> vertex.PipelineJob:
        if request.name not in self.jobs:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"The PipelineJob {request.name} does not exist.")
        next(self._acts[request.name], None)
        return self.jobs[request.name]

    def list(self, request: vertex.ListPipelineJobsRequest) -> vertex.ListPipelineJobsResponse:
        check_parent(request.parent)
        return vertex.ListPipelineJobsResponse(pipeline_jobs=list(self.jobs.values())[: request.page_size])

    def cancel(self, request: vertex.CancelPipelineJobRequest) -> empty_pb2.Empty:
        job = self.jobs[request.name]
        job.state = _JobState.PIPELINE_STATE_CANCELLED
        for task in job.job_detail.task_details:
            if task.state == _State.RUNNING:
                task.state = _State.CANCELLED
        self._acts[request.name] = iter(())
        return empty_pb2.Empty()

    def list_log(self, request: ListLogEntriesRequest) -> ListLogEntriesResponse:
        query = re.fullmatch(
            r'resource\.type="ml_job" AND resource\.labels\.job_id=\(("\d+"(?: OR "\d+")*)\) AND '
            r'timestamp>="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"',
            request.filter,
        )
        if not query or request.order_by != "timestamp desc" or list(request.resource_names) != [f"projects/{PROJECT}"]:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Unparseable filter or no such resource: {request}")
        lines = [line for job in re.findall(r"\d+", query[1]) for line in self._logs.get(job, ())]
        # The agent stores a line in one of two ways.
        entries = [
            LogEntry(json_payload={"message": line}) if number % 2 else LogEntry(text_payload=f"{line}\n")
            for number, line in enumerate(lines)
        ]
        return ListLogEntriesResponse(entries=entries[::-1][: request.page_size])

    def answer(self, method: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a method's handler: it authenticates, fails if scripted to, and acts."""

        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            with self._lock:
                self.calls.append(method)
                try:
                    self._check_caller(request, dict(context.invocation_metadata()))
                    fault = self.faults.get(method)
                    if fault and fault.times:
                        fault.times -= 1
                        if fault.done:
                            act(request)
                        raise Refused(fault.code, fault.message)
                    return act(request)
                except Refused as error:
                    context.abort(error.code, str(error))

        return handle

    def _check_caller(self, request: Any, given: dict[str, Any]) -> None:
        if not self.google.knows(given.get("authorization", "")):
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid authentication credentials.")
        for key in ("parent", "name"):  # by which requests are routed
            routing = urllib.parse.parse_qs(given.get("x-goog-request-params", ""))
            if hasattr(request, key) and routing.get(key) != [getattr(request, key)]:
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "The routing header names another resource.")

    def _acting(self, job: vertex.PipelineJob, play: Play) -> Iterator[None]:
        """Advances by the start or end of one step at a time."""
        yield
        if play.job_error:
            job.state, job.error.message = _JobState.PIPELINE_STATE_FAILED, play.job_error
            return
        job.state, job.start_time = _JobState.PIPELINE_STATE_RUNNING, datetime.now(UTC)
        whole = plain(job)
        known = whole["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
        defaults = {name: definition.get("defaultValue", "") for name, definition in known.items()}
        parameters = defaults | whole["runtimeConfig"]["parameterValues"]
        parameters["run_id"] = parameters["run_id"] or self.numbers[job.name]
        dags = [self._begin(job, name) for name in ("run", "something-new")]
        for step in _STEPS[play.outcome]:
            task = self._begin(job, step, play)
            while True:
                yield
                if step != play.stops_at:
                    break
            if step == play.fails:
                task.error.message = play.error
                _end(_State.FAILED, task, *dags)
                break
            write_record(step, parameters, play.outcome)
            _end(_State.SKIPPED if step in play.cached else _State.SUCCEEDED, task)
        if "release" not in (task.task_name for task in job.job_detail.task_details):
            self._begin(job, "accepted").state = _State.NOT_TRIGGERED
        notify = self._begin(job, "notify")
        yield
        _end(_State.FAILED if play.fails == "notify" else _State.SUCCEEDED, notify)
        job.state = _JobState.PIPELINE_STATE_FAILED if play.fails else _JobState.PIPELINE_STATE_SUCCEEDED
        if play.fails:
            job.error.message = f"The DAG failed because some tasks failed. The failed tasks are: [{play.fails}]."

    def _begin(self, job: vertex.PipelineJob, name: str, play: Play | None = None) -> vertex.PipelineTaskDetail:
        details = job.job_detail.task_details
        task = vertex.PipelineTaskDetail(task_id=len(details) + 1, task_name=name, state=_State.RUNNING)
        task.create_time = task.start_time = datetime.now(UTC)
        if play and play.started:
            log = play.log if name == play.fails else ()
            task.executor_detail.container_detail.main_job = self._custom_job(() if play.in_custom_job else log)
            if play.in_custom_job:
                made = {"resourceType": "CustomJob", "resourceUri": f"https://{self.host}/v1/{self._custom_job(log)}"}
                task.execution.metadata = {"output:gcp_resources": json.dumps({"resources": [made]})}
        details.append(task)
        return details[-1]

    def _custom_job(self, log: tuple[str, ...]) -> str:
        number = str(7000 + len(self._logs))
        self._logs[number] = log
        return f"projects/1/locations/{LOCATION}/customJobs/{number}"


@contextlib.contextmanager
def running_vertex(google: Google) -> Iterator[Vertex]:
    """Runs the service over TLS on a free loopback port during the block."""
    service = Vertex(google)

    def of(verb: str) -> Callable[[Any], Any]:
        return lambda request: getattr(service.scheduler, verb)(request)  # `reset` replaces it

    server = grpc.server(ThreadPoolExecutor(4))
    services = {
        "google.cloud.aiplatform.v1.PipelineService": {
            "CreatePipelineJob": (service.start, vertex.CreatePipelineJobRequest, vertex.PipelineJob),
            "GetPipelineJob": (service.get, vertex.GetPipelineJobRequest, vertex.PipelineJob),
            "ListPipelineJobs": (service.list, vertex.ListPipelineJobsRequest, vertex.ListPipelineJobsResponse),
            "CancelPipelineJob": (service.cancel, vertex.CancelPipelineJobRequest, empty_pb2.Empty),
        },
        "google.cloud.aiplatform.v1.ScheduleService": {
            "CreateSchedule": (of("create"), vertex.CreateScheduleRequest, vertex.Schedule),
            "GetSchedule": (of("get"), vertex.GetScheduleRequest, vertex.Schedule),
            "ListSchedules": (of("list"), vertex.ListSchedulesRequest, vertex.ListSchedulesResponse),
            "PauseSchedule": (of("pause"), vertex.PauseScheduleRequest, empty_pb2.Empty),
            "ResumeSchedule": (of("resume"), vertex.ResumeScheduleRequest, empty_pb2.Empty),
            "DeleteSchedule": (of("delete"), vertex.DeleteScheduleRequest, operations_pb2.Operation),
        },
        "google.longrunning.Operations": {
            "GetOperation": (of("operation"), operations_pb2.GetOperationRequest, operations_pb2.Operation)
        },
        "google.logging.v2.LoggingServiceV2": {
            "ListLogEntries": (service.list_log, ListLogEntriesRequest, ListLogEntriesResponse)
        },
    }
    server.add_generic_rpc_handlers(tuple(_handlers(service, *each) for each in services.items()))
    certificate = ((google.folder / "key.pem").read_bytes(), (google.folder / "cert.pem").read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([certificate]))
    service.host = f"localhost:{port}"
    server.start()
    try:
        yield service
    finally:
        server.stop(grace=None).wait()


def _handlers(service: Vertex, name: str, methods: dict[str, Any]) -> grpc.GenericRpcHandler:
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(
            service.answer(method, act),
            # Google's newer messages and plain protobuf messages have different methods.
            request_deserializer=getattr(request, "deserialize", None) or request.FromString,
            response_serializer=getattr(response, "serialize", None) or response.SerializeToString,
        )
        for method, (act, request, response) in methods.items()
    }
    return grpc.method_handlers_generic_handler(name, handlers)


def _end(state: _State, *tasks: vertex.PipelineTaskDetail) -> None:
    for task in tasks:
        task.state, task.end_time = state, datetime.now(UTC)
