"""The API of Vertex AI Pipelines: identity, jobs and their web pages.

Uses the generated clients that `aiplatform.PipelineJob` and `aiplatform.PipelineJobSchedule` are also built on. Those
classes also create buckets, log tracebacks when that fails, set the caching of all steps at once, and poll in loops of
their own.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petalflow import storage
from petalflow.errors import UsageError
from pipeline.portable import load_documents
from pipeline.request import Request
from pipeline.settings import VertexSettings
from pipeline.targets.vertex import google_cloud

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.auth.credentials import Credentials
    from google.cloud.aiplatform_v1 import PipelineJob, PipelineServiceClient, ScheduleServiceClient

CONSOLE = "https://console.cloud.google.com"
REQUEST_S = 60


@dataclass(frozen=True)
class Api:
    """A connection to Vertex AI.

    Attributes:
        settings: Project, location, and the properties of all jobs.
    """

    settings: VertexSettings

    @property
    def credentials(self) -> "Credentials":
        """The credentials in use."""
        return self._identity[0]

    @property
    def project(self) -> str:
        """The project's id.

        Raises:
            UsageError: If neither the settings nor the credentials name one.
        """
        project = self.settings.project or self._identity[1]
        if not project:
            raise UsageError("the credentials name no Google Cloud project; --set vertex.project=ID")
        return project

    @property
    def parent(self) -> str:
        """The prefix of all resource names."""
        return f"projects/{self.project}/locations/{self.settings.location}"

    @cached_property
    def jobs(self) -> "PipelineServiceClient":
        """The client of the service that runs pipelines."""
        from google.cloud.aiplatform_v1 import PipelineServiceClient

        return PipelineServiceClient(credentials=self.credentials, client_options={"api_endpoint": self._host})

    @cached_property
    def schedules(self) -> "ScheduleServiceClient":
        """The client of the service that runs them on a schedule."""
        from google.cloud.aiplatform_v1 import ScheduleServiceClient

        return ScheduleServiceClient(credentials=self.credentials, client_options={"api_endpoint": self._host})

    def translate_errors(self, resource: str = "", *, reads: bool = False) -> AbstractContextManager[None]:
        """Turns the service's errors in the block into our own; `reads` as in `google_cloud.translate_errors`."""
        return google_cloud.translate_errors(f"Vertex AI, {resource or self.parent}", reads=reads)

    def job(self, file: Path, request: Request, name: str, arguments: Mapping[str, str]) -> "PipelineJob":
        """Returns the message of a job.

        Args:
            file: The compiled pipeline.
            request: The request for the run.
            name: The display name.
            arguments: The pipeline's arguments.
        """
        from google.cloud.aiplatform_v1 import PipelineJob

        values = {
            "displayName": name[:128],
            "pipelineSpec": _spec(file, self.settings.caching),
            "runtimeConfig": {
                "gcsOutputDirectory": pipeline_root(self.settings, request),
                "parameterValues": dict(arguments),
            },
            "labels": dict(self.settings.labels),
            "serviceAccount": self.settings.service_account or "",
            "network": self.settings.network or "",
        }
        if self.settings.kms_key:
            values["encryptionSpec"] = {"kmsKeyName": self.settings.kms_key}
        job: PipelineJob = PipelineJob.from_json(json.dumps(values))
        return job

    def create_job(self, job: "PipelineJob", job_id: str) -> str:
        """Creates a job unless it exists already, and returns its resource name.

        Args:
            job: The message of the job.
            job_id: The job's id; an existing job with this id is considered ours.
        """
        from google.api_core.exceptions import AlreadyExists

        try:
            with self.translate_errors():
                self.jobs.create_pipeline_job(
                    parent=self.parent,
                    pipeline_job=job,
                    pipeline_job_id=job_id,
                    retry=retry_unavailable(),
                    timeout=REQUEST_S,
                )
        except AlreadyExists:
            pass  # ours: the run's id is in its name
        return f"{self.parent}/pipelineJobs/{job_id}"

    def link(self, resource: str) -> str:
        """Returns the console's page of a job or a schedule."""
        kind, name = resource.split("/")[-2:]
        page = {"pipelineJobs": "runs", "schedules": "schedules"}[kind]
        location = self.settings.location
        return f"{CONSOLE}/vertex-ai/locations/{location}/pipelines/{page}/{name}?project={self.project}"

    @cached_property
    def _identity(self) -> tuple["Credentials", str | None]:
        return google_cloud.find_credentials()

    @property
    def _host(self) -> str:
        return self.settings.endpoint or f"{self.settings.location}-aiplatform.googleapis.com"


def pipeline_root(settings: VertexSettings, request: Request) -> str:
    """Returns the folder for the artifacts of the steps."""
    # A dot folder, which a model server does not mistake for a model.
    return settings.pipeline_root or storage.join(request.registry, ".pipeline")


def retry_unavailable() -> "Retry":
    """Returns a retry policy for an unavailable service, for calls that may safely be repeated."""
    from google.api_core.exceptions import ServiceUnavailable
    from google.api_core.retry import Retry, if_exception_type

    return Retry(if_exception_type(ServiceUnavailable), timeout=REQUEST_S)


def _spec(file: Path, caching: bool) -> Mapping[str, Any]:
    (spec,) = load_documents(file.read_text())
    if not caching:
        for component in (spec["root"], *spec["components"].values()):
            for task in component.get("dag", {}).get("tasks", {}).values():
                task.pop("cachingOptions", None)
    return spec
