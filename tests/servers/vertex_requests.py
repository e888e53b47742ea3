"""How the fake Vertex AI refuses requests."""

import re
from typing import Any

import grpc
from google.cloud import aiplatform_v1 as vertex
from google.protobuf import json_format

from tests.servers.google import PROJECT
from tests.servers.pipeline_spec import problems_of

LOCATION = "europe-west4"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"


class Refused(Exception):
    """The service refuses a request."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_parent(parent: str) -> None:
    """Refuses another project or location."""
    if not parent.startswith(f"projects/{PROJECT}/"):
        message = f"Permission 'aiplatform.pipelineJobs.list' denied on resource '{parent}' (or it may not exist)."
        raise Refused(grpc.StatusCode.PERMISSION_DENIED, message)
    if parent != PARENT:
        raise Refused(grpc.StatusCode.NOT_FOUND, f"{parent} is not found.")


def check_job(job: vertex.PipelineJob) -> None:
    """Refuses a job that could not be run."""
    if problem := _problem_of(job):
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, problem)


def plain(job: vertex.PipelineJob) -> dict[str, Any]:
    """Returns a job as JSON values."""
    return dict(json_format.MessageToDict(vertex.PipelineJob.pb(job)))


def _problem_of(job: vertex.PipelineJob) -> str:
    if len(job.display_name) > 128 or not job.display_name:
        return "display_name is missing or too long"
    if not job.runtime_config.gcs_output_directory.startswith("gs://"):
        return "gcs_output_directory must be a path in a Cloud Storage bucket"
    if job.network and not re.fullmatch(r"projects/\d+/global/networks/[\w-]+", job.network):
        return f"network {job.network} is invalid"
    if not all(re.fullmatch("[a-z0-9_-]{0,64}", word) for label in job.labels.items() for word in label):
        return "labels are invalid"
    whole = plain(job)
    return "; ".join(problems_of(whole["pipelineSpec"], whole["runtimeConfig"]["parameterValues"]))
