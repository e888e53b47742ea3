"""A fake Vertex AI Pipelines and Cloud Logging over gRPC, built from Google's published messages.

It checks requests as the service does. Each time it is asked for the state of a job, it takes the job one step
further and writes the record as the steps would. Its scheduler is in vertex_schedules.py.

Nobody has compared it with the real service. So each behaviour says where it comes from: "documented" (in the API's
definitions, aiplatform_v1, or on the named page of cloud.google.com/vertex-ai/docs), "seen" (in the named issue or
file), or "assumed".
"""

import contextlib
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.cloud import aiplatform_v1 as vertex
from google.cloud.logging_v2.types import ListLogEntriesRequest, ListLogEntriesResponse, LogEntry
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from petalflow.errors import PetalflowError
from petalflow.run import record
from petalflow.run.execution import tracked
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
# Documented (PipelineTaskDetail.task_name): the name in pipeline_spec. For the exit handler and the conditions these
# are kfp's names, not those that our pipeline gives them for display.
_EXIT_HANDLER, _SOMETHING_NEW, _ACCEPTED = "exit-handler-1", "condition-2", "condition-3"
# Seen in alerts that others quote from their pipelines.
_FAILED_TASKS = "The DAG failed because some tasks failed. The failed tasks are: [{}]."
_FAILED_JOB = "{} Job (project_id = flowers-prod, job_id = {}) is failed due to the above error."
_State = vertex.PipelineTaskDetail.State
_JobState = vertex.PipelineState


@dataclass(frozen=True)
class Play:
    """How a job proceeds.

    Attributes:
        outcome: accepted, refused or nothing new, if no step fails.
        fails: The step that fails, or the condition.
        state: The final state of the task that fails: FAILED, or CANCELLED if only its custom job was cancelled.
        error: The service's message for the failure.
        recorded: The error that the step recorded before it ended, or "".
        log: What the step printed.
        started: True if its container started, so that there is a log.
        ended_s_ago: How long ago the step that fails ended, in seconds.
        attempts: How often a step that fails was tried, each time in a custom job of its own.
        in_custom_job: True if its container only started a custom job, which has the log.
        cached: Steps that are answered from the cache.
        stops_at: A step that runs until the test ends it, or "".
        waits_s: How long ago the job was created if it never starts, in seconds; else 0.
        system_error: An error of the service that it retries while the step `stops_at` runs, or "".
        job_error: The service's message for a job that fails before any step.
        cancelled: The state of a job that was asked to be cancelled.
        notified: True if the exit task runs although the job was cancelled.
    """

    outcome: str = record.ACCEPTED
    fails: str = ""
    state: str = "FAILED"
    error: str = ""
    recorded: str = ""
    log: tuple[str, ...] = ()
    started: bool = True
    ended_s_ago: float = 0
    attempts: int = 1
    in_custom_job: bool = False
    cached: tuple[str, ...] = ()
    stops_at: str = ""
    waits_s: float = 0
    system_error: str = ""
    job_error: str = ""
    cancelled: str = "CANCELLED"
    notified: bool = False


@dataclass
class Fault:
    """A failing response.

    Attributes:
        code: The status code.
        message: The message.
        after: The number of responses before the first one that fails.
        times: The number of failing responses.
        done: True if the request is carried out and only the response is lost.
    """

    code: grpc.StatusCode
    message: str = "the service is tired"
    after: int = 0
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
    _plays: dict[str, Play] = field(default_factory=dict)
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
        for kept in (self.faults, self.jobs, self.numbers, self.calls, self._acts, self._plays, self._logs):
            kept.clear()

    def finish(self, name: str) -> None:
        """Takes a job to its end."""
        for _ in self._acts[name]:
            pass

    def start(self, request: vertex.CreatePipelineJobRequest) -> vertex.PipelineJob:
        """Creates a job, and names it if the request does not."""
        check_parent(request.parent)
        # Documented (page run-pipeline, placeholder pipeline_job_id): the service also gives each job an id of its own.
        # That it is a number is seen in the paths of artifacts; it is what PIPELINE_JOB_ID_PLACEHOLDER stands for.
        number = str(4_611_686_018_427_387_904 + len(self.jobs))
        # Documented (page run-pipeline): without an id, the pipeline's name and the time; the number is shorter here.
        job_id = request.pipeline_job_id or f"petalflow-{number}"
        # Documented (CreatePipelineJobRequest): less than 128 characters of a-z, 0-9 and -. That the first must be a
        # letter is seen in the SDK (_VALID_NAME_PATTERN).
        if not re.fullmatch("[a-z][-a-z0-9]{0,126}", job_id):
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"pipeline_job_id {job_id} is invalid")
        check_job(request.pipeline_job)
        name = f"{request.parent}/pipelineJobs/{job_id}"
        if name in self.jobs:
            raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"The PipelineJob {name} already exists.")
        job = vertex.PipelineJob(request.pipeline_job)
        job.name, job.state, job.create_time = name, _JobState.PIPELINE_STATE_PENDING, datetime.now(UTC)
        self.jobs[name], self.numbers[name], self._acts[name] = job, number, self._acting(job, self.play)
        self._plays[name] = self.play
        return job

    def get(self, request: vertex.GetPipelineJobRequest) -> vertex.PipelineJob:
        if request.name not in self.jobs:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"The PipelineJob {request.name} does not exist.")
        next(self._acts[request.name], None)
        return self.jobs[request.name]

    def list(self, request: vertex.ListPipelineJobsRequest) -> vertex.ListPipelineJobsResponse:
        check_parent(request.parent)
        listed = [vertex.PipelineJob(job) for job in list(self.jobs.values())[: request.page_size]]
        for job in listed:
            job.job_detail = None  # documented (PipelineJob): not available in the list view
        return vertex.ListPipelineJobsResponse(pipeline_jobs=listed)

    def cancel(self, request: vertex.CancelPipelineJobRequest) -> empty_pb2.Empty:
        # Documented (CancelPipelineJob, page cancel-pipeline-runs): CANCELLING until the tasks are cancelled.
        job = self.jobs[request.name]
        job.state = _JobState.PIPELINE_STATE_CANCELLING
        self._acts[request.name] = self._cancelling(job, self._plays[request.name])
        return empty_pb2.Empty()

    def _cancelling(self, job: vertex.PipelineJob, play: Play) -> Iterator[None]:
        running = [task for task in job.job_detail.task_details if task.state == _State.RUNNING]
        for task in running:
            task.state = _State.CANCELLING
        yield
        _end(_State.CANCELLED, *running)
        # The page says that all remaining tasks are cancelled; kfp's PipelineTaskFinalStatus may be CANCELLED, so that
        # exit tasks might run. Both are assumed.
        if play.notified:
            self._notify(job)
        _end(_State.SUCCEEDED if play.notified else _State.CANCELLED, self._begin(job, "notify"))
        # Documented (PipelineState): SUCCEEDED and FAILED may follow too, for it is a best effort.
        job.state = _JobState[f"PIPELINE_STATE_{play.cancelled}"]
        if play.cancelled == "CANCELLED":
            job.error.code = grpc.StatusCode.CANCELLED.value[0]  # documented (CancelPipelineJob)

    def list_log(self, request: ListLogEntriesRequest) -> ListLogEntriesResponse:
        query = re.fullmatch(
            r'resource\.type="ml_job" AND resource\.labels\.job_id=\(("\d+"(?: OR "\d+")*)\) AND '
            r'timestamp>="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"',
            request.filter,
        )
        if not query or request.order_by != "timestamp desc" or list(request.resource_names) != [f"projects/{PROJECT}"]:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Unparseable filter or no such resource: {request}")
        # Documented (page View serverless training logs): what the containers of a custom job print is stored under
        # the resource ml_job with the number of the custom job. Seen: only if the service account that the step runs
        # as may write logs (roles/logging.logWriter); else the lines are lost and the log is empty.
        lines = [line for job in re.findall(r"\d+", query[1]) for line in self._logs.get(job, ())]
        # Seen: the agent stores a line in one of two ways.
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
                    if fault and fault.after:
                        fault.after -= 1
                    elif fault and fault.times:
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
        while play.waits_s:
            job.create_time = datetime.now(UTC) - timedelta(seconds=play.waits_s)
            yield
        yield
        if play.job_error:
            job.state, job.error.message = _JobState.PIPELINE_STATE_FAILED, play.job_error
            return
        job.state, job.start_time = _JobState.PIPELINE_STATE_RUNNING, datetime.now(UTC)
        parameters = self._parameters(job)
        dags = [self._begin(job, _EXIT_HANDLER)]
        for step in _STEPS[play.outcome]:
            if step == "convert":
                dags.append(self._begin(job, _SOMETHING_NEW))
                if play.fails == _SOMETHING_NEW:
                    break
            task = self._begin(job, step, play)
            while True:
                yield
                if step != play.stops_at:
                    break
            # Documented (PipelineFailurePolicy): by default, tasks that can still run after a failure do. None can,
            # since each of our steps needs the one before.
            if step == play.fails:
                self._fail(task, play, parameters, *dags)
                break
            write_record(step, parameters, play.outcome)
            # Documented (State): SKIPPED means a cache hit. The entry has no time to live and does not depend on the
            # files that it names (page configure-caching).
            _end(_State.SKIPPED if step in play.cached else _State.SUCCEEDED, task)
        if play.fails == _SOMETHING_NEW:
            dags[-1].error.message = play.error
            _end(_State.FAILED, *dags)
        elif play.fails in ("", "notify"):
            # Documented (State): the condition is not satisfied. Assumed: the tasks in it are not listed.
            if play.outcome != record.ACCEPTED:
                nothing_new = play.outcome == record.NOTHING_NEW
                self._begin(job, _SOMETHING_NEW if nothing_new else _ACCEPTED).state = _State.NOT_TRIGGERED
            _end(_State.SUCCEEDED, *dags)
        notify = self._begin(job, "notify")
        yield
        if play.fails != "notify":
            self._notify(job)
        _end(_State.FAILED if play.fails == "notify" else _State.SUCCEEDED, notify)
        job.state = _JobState.PIPELINE_STATE_FAILED if play.fails else _JobState.PIPELINE_STATE_SUCCEEDED
        if play.fails:
            failed = _FAILED_TASKS.format("notify" if play.fails == "notify" else _EXIT_HANDLER)
            job.error.message = _FAILED_JOB.format(failed, self.numbers[job.name])

    def _parameters(self, job: vertex.PipelineJob) -> dict[str, Any]:
        whole = plain(job)
        known = whole["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
        defaults = {name: definition.get("defaultValue", "") for name, definition in known.items()}
        parameters = defaults | whole["runtimeConfig"]["parameterValues"]
        return parameters | {"run_id": parameters["run_id"] or self.numbers[job.name]}

    def _notify(self, job: vertex.PipelineJob) -> None:
        """Ends the record as the exit task would, which gets the final state and the error of the exit handler.

        Seen (tfx, exit_handler_e2e_test.py): {"state": "SUCCEEDED", "error": {}}. Documented (kfp's
        PipelineTaskFinalStatus, page email-notifications): SUCCEEDED, FAILED or CANCELLED. Assumed: a condition that is
        not satisfied does not change that, and the error names the tasks inside only.
        """
        given = self._parameters(job)
        (around,) = (task for task in job.job_detail.task_details if task.task_name == _EXIT_HANDLER)
        succeeded = not record.is_failure(around.state.name)
        where = (given["record_uri"], given["run_id"], given["state_uri"])
        record.end(*where, succeeded=succeeded, error=around.error.message)

    def _fail(
        self, task: vertex.PipelineTaskDetail, play: Play, parameters: dict[str, Any], *dags: vertex.PipelineTaskDetail
    ) -> None:
        # Documented (PipelineTaskDetail.error): only for a task that FAILED or was CANCELLED.
        task.error.message = play.error
        for dag, failed in zip(dags, (*(dag.task_name for dag in dags[1:]), task.task_name), strict=True):
            dag.error.message = _FAILED_TASKS.format(failed)
        if play.recorded:
            state, run = parameters["state_uri"], parameters["run_id"]
            with contextlib.suppress(PetalflowError), tracked(play.fails, state, run):
                raise PetalflowError(play.recorded)
        _end(_State[play.state], task)
        _end(_State.FAILED, *dags)
        task.end_time = datetime.now(UTC) - timedelta(seconds=play.ended_s_ago)

    def _begin(self, job: vertex.PipelineJob, name: str, play: Play | None = None) -> vertex.PipelineTaskDetail:
        details = job.job_detail.task_details
        # Documented (page rerun-pipeline-task): a rerun is another job, so that a name is listed once in a job.
        task = vertex.PipelineTaskDetail(task_id=len(details) + 1, task_name=name, state=_State.RUNNING)
        task.create_time = task.start_time = datetime.now(UTC)
        if play and play.started:
            # Documented (page machine-types): each step runs as a custom job. ContainerDetail: each attempt of a
            # retried step is another one, and the task keeps the names of those that failed.
            log = play.log if name == play.fails else ()
            ran = task.executor_detail.container_detail
            ran.failed_main_jobs = [self._custom_job(("an earlier attempt",)) for _ in range(play.attempts - 1)]
            ran.main_job = self._custom_job(() if play.in_custom_job else log)
            if play.in_custom_job:
                # Seen (google_cloud_pipeline_components): a component names what it started in this output.
                made = {"resourceType": "CustomJob", "resourceUri": f"https://{self.host}/v1/{self._custom_job(log)}"}
                task.execution.metadata = {"output:gcp_resources": json.dumps({"resources": [made]})}
        if play and play.system_error and name == play.stops_at:
            # Documented (PipelineTaskStatus.error): in a state that is not final, the error is being retried.
            status = vertex.PipelineTaskDetail.PipelineTaskStatus(state=_State.RUNNING)
            status.error.message = play.system_error
            task.pipeline_task_status = [status]
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
