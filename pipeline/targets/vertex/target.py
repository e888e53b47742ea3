"""Vertex AI Pipelines: creates a job from the compiled pipeline and polls its status."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from components.notify.settings import NotifySettings
from components.train.settings import TrainSettings, check_settings, weights_file
from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.run.steps import STEPS
from pipeline.build import Build
from pipeline.compile import compile_pipeline
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import RunFile
from pipeline.settings import VertexSettings
from pipeline.target import Failure, Probe, check_probes
from pipeline.targets import cluster
from pipeline.targets.addresses import check_addresses, source_location, written_addresses
from pipeline.targets.vertex.api import Api, pipeline_root
from pipeline.targets.vertex.container_registry import probe_container_image
from pipeline.targets.vertex.tpu import on_tpu
from pipeline.targets.vertex.watching import WatchedJob

_PROBE_S = 15


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
        container_images = sorted({self.build().container_image(step) for step in STEPS})
        return [
            Probe("package", _probe_package),
            Probe("credentials", self._probe_credentials),
            Probe("service", self._probe_service),
            *(
                Probe(f"container image {name.rpartition('/')[2]}", partial(self._probe_container_image, name))
                for name in container_images
            ),
        ]

    def check(self, request: Request, out: Path) -> None:
        """Checks the settings, the service, and the addresses that the run reads and writes."""
        self.build(request.source)
        _check_in_cloud(request)
        _check_weights(request.configuration.train)
        _check_secrets(request.configuration.notify)
        request.configuration.notify.check_reachable()
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
        watched = WatchedJob(self._api, run, display)
        try:
            cluster.follow(watched.status, run, display, self.settings.poll_s)
        except PetalflowError as error:
            raise type(error)(f"{error}; the run continues ({run.link}); the same command follows it again") from None
        return watched.failure(request)

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
        return f"{host}, {self._api.parent}; jobs can be listed (creating one was not checked)"

    def _probe_container_image(self, name: str) -> str:
        return probe_container_image(name, self._api.credentials)


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
