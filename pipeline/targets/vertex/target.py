"""Vertex AI Pipelines: creates a job from the compiled pipeline and polls its status."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from components.notify.settings import NotifySettings
from components.train.settings import TrainSettings, check_settings, weights_file
from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.run.steps import STEPS
from pipeline.build import Build
from pipeline.compile import compile_pipeline
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, SKIPPED, WAITING, RunFile, StepState
from pipeline.settings import VertexSettings
from pipeline.target import Failure, Probe, check_probes
from pipeline.targets import cluster
from pipeline.targets.addresses import check_addresses, source_location, written_addresses
from pipeline.targets.cluster import JobStatus
from pipeline.targets.vertex.api import CONSOLE, REQUEST_S, Api, pipeline_root
from pipeline.targets.vertex.google_cloud import last_lines
from pipeline.targets.vertex.image_registry import probe_image
from pipeline.targets.vertex.tpu import on_tpu

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import PipelineJob, PipelineTaskDetail

_PROBE_S = 15
_ENDED = ("PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED", "PIPELINE_STATE_CANCELLED")
# Task states of Vertex AI. SKIPPED means a cache hit; a task whose condition was not met is NOT_TRIGGERED.
_STATES = {
    "SUCCEEDED": RAN,
    "SKIPPED": CACHED,
    "NOT_TRIGGERED": SKIPPED,
    "FAILED": FAILED,
    "CANCELLED": FAILED,
    "RUNNING": RUNNING,
    "CANCELLING": RUNNING,
    "CANCEL_PENDING": RUNNING,
}


@dataclass(frozen=True)
class Vertex:
    """Runs on Vertex AI Pipelines.

    Attributes:
        settings: Project, location, container images, machines.
    """

    settings: VertexSettings
    name = "vertex"
    runs_detached = True

    def probes(self) -> Sequence[Probe]:
        """Returns probes of the packages, the credentials, the service and the container images."""
        images = sorted({self.build().container_image(step) for step in STEPS})
        return [
            Probe("package", _probe_package),
            Probe("credentials", self._probe_credentials),
            Probe("service", self._probe_service),
            *(Probe(f"image {name.rpartition('/')[2]}", partial(self._probe_image, name)) for name in images),
        ]

    def check(self, request: Request, out: Path) -> None:
        """Checks the settings, the service, and the addresses that the run reads and writes."""
        self.build(request.source)
        _check_in_cloud(request)
        _check_weights(request.configuration.train)
        _check_secrets(request.configuration.notify)
        check_probes(self.probes())
        check_addresses(request, out)
        storage.check_writable(pipeline_root(self.settings, request))

    def build(self, source: str = "") -> Build:
        """Returns a build with the container images and machines of the settings."""
        return on_tpu(Build.of(self.settings, source), self.settings)

    def code_version(self) -> str:
        """Returns a hash of the sources and the container images' names."""
        return self.build().code_version()

    def submit(self, request: Request, run: RunFile) -> None:
        """Creates the job, whose id is derived from the run's id."""
        file = run.path.parent / "pipeline.yaml"
        compile_pipeline(file, self.build(request.source))
        job = self._api.job(file, request, run.run_id, run.arguments())
        run.job = self._api.create_job(job, vertex_job_id(run.run_id))
        run.link = self._api.link(run.job)

    def follow(self, request: Request, run: RunFile, display: Display) -> Failure | None:
        """Polls the job until it has ended."""
        cluster.follow(lambda: _status(self._get(run.job)), run, display, self.settings.poll_s)
        return self._failure(self._get(run.job), run.link)

    @cached_property
    def _api(self) -> Api:
        return Api(self.settings)

    def _probe_credentials(self) -> str:
        who = getattr(self._api.credentials, "service_account_email", "a user")
        return f"{who}, project {self._api.project}"

    def _probe_service(self) -> str:
        request = {"parent": self._api.parent, "page_size": 1}
        host = self._api.jobs.api_endpoint
        try:
            with self._api.translate_errors():
                self._api.jobs.list_pipeline_jobs(request=request, timeout=_PROBE_S)
        except cluster.Unreachable as error:
            raise UsageError(f"{error}; check the network, vertex.location and vertex.endpoint ({host})") from None
        return f"{host}, {self._api.parent}"

    def _probe_image(self, name: str) -> str:
        return probe_image(name, self._api.credentials)

    def _get(self, name: str) -> "PipelineJob":
        with self._api.translate_errors(name):
            job: PipelineJob = self._api.jobs.get_pipeline_job(name=name, timeout=REQUEST_S)
            return job

    def _failure(self, job: "PipelineJob", link: str) -> Failure | None:
        """Returns the failure; a failed notification does not make the run fail."""
        if job.state.name == "PIPELINE_STATE_SUCCEEDED":
            return None
        if job.state.name == "PIPELINE_STATE_CANCELLED":
            return Failure("", ("the job was cancelled",), link)
        failed = {name: task for name, task in _tasks(job) if task.state.name == "FAILED"}
        step = next((step for step in STEPS if step in failed and step != "notify"), None)
        if step:
            return self._step_failure(step, failed[step])
        if "notify" in failed:
            return None
        return Failure("", (job.error.message or "the job failed, and the service gives no reason",), link)

    def _step_failure(self, step: str, task: "PipelineTaskDetail") -> Failure:
        jobs = _custom_jobs(task)
        since = f"{task.create_time:%Y-%m-%dT%H:%M:%SZ}"
        chosen = " OR ".join(f'"{job}"' for job in jobs)
        query = f'resource.type="ml_job" AND resource.labels.job_id=({chosen}) AND timestamp>="{since}"'
        message = (task.error.message,) if task.error.message else ()
        try:
            endpoint = self.settings.logging_endpoint
            lines = last_lines(self._api.credentials, self._api.project, query, endpoint) if jobs else []
        except PetalflowError as error:
            lines = [f"its log cannot be read: {error}"]
        log = f"{CONSOLE}/logs/query;query={quote(query, safe='')}?project={self._api.project}"
        return Failure(step, (*lines, *message), log)


def vertex_job_id(run_id: str) -> str:
    """Returns the id of a run's job: always the same, in the characters that Vertex AI accepts.

    Keeps the end of the run id, which distinguishes runs.
    """
    return f"petalflow-{re.sub('[^a-z0-9]+', '-', run_id.lower())[-100:].strip('-')}"


def _probe_package() -> str:
    try:
        import google.cloud.aiplatform_v1
        import google.cloud.logging_v2  # noqa: F401
    except ImportError:
        raise UsageError("--on vertex needs further packages: pip install '.[vertex]' in the checkout") from None
    from importlib.metadata import version

    return f"google-cloud-aiplatform {version('google-cloud-aiplatform')}"


def _check_in_cloud(request: Request) -> None:
    for what, address in {**source_location(request), **written_addresses(request)}.items():
        if storage.is_local(address):
            raise UsageError(f"{what} {address} is on this machine, which Vertex AI cannot see; use a gs:// address")
        if not address.startswith("gs://"):
            raise UsageError(f"{what} {address} is not on Cloud Storage; Vertex AI needs a gs:// address")


def _check_weights(train: TrainSettings) -> None:
    file = weights_file(train)
    if file and storage.is_local(file):
        raise UsageError(
            f"train.weights={file!r} is a file on this machine, which Vertex AI cannot see; copy it to gs://"
        )
    check_settings(train)


def _check_secrets(notify: NotifySettings) -> None:
    local_files = [
        address for address in notify.secret_files if storage.is_local(address) and not address.startswith("/gcs/")
    ]
    for what in (*(f"env:{name}" for name in notify.secret_variables), *(f"file:{address}" for address in local_files)):
        raise UsageError(f"the notify settings use {what}, which steps on Vertex AI do not have; use file:gs://...")


def _tasks(job: "PipelineJob") -> Iterator[tuple[str, "PipelineTaskDetail"]]:
    """Yields the tasks that are steps, leaving out conditions and the exit handler."""
    return ((task.task_name, task) for task in job.job_detail.task_details if task.task_name in STEPS)


def _status(job: "PipelineJob") -> JobStatus:
    states = {
        name: StepState(name, _STATES.get(task.state.name, WAITING), _seconds(task)) for name, task in _tasks(job)
    }
    state = job.state.name
    return JobStatus(state in _ENDED, state == "PIPELINE_STATE_SUCCEEDED", states, job.error.message)


def _seconds(task: "PipelineTaskDetail") -> float:
    if not task.start_time:
        return 0.0
    end = task.end_time or datetime.now(UTC)
    return max(0.0, float((end - task.start_time).total_seconds()))


def _custom_jobs(task: "PipelineTaskDetail") -> list[str]:
    """Returns the ids of the custom jobs that a task ran in: its own, and one that it started for a TPU."""
    own = task.executor_detail.container_detail.main_job or task.executor_detail.custom_job_detail.job
    started = str(task.execution.metadata.get("output:gcp_resources", "")) if "execution" in task else ""
    return [*re.findall(r"customJobs/(\d+)", f"{own} {started}")]
