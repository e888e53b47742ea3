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
        # Seen (issue rhel-lightspeed/linux-mcp-server#450, for another permission).
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
    # Documented (PipelineJob).
    if len(job.display_name) > 128 or not job.display_name:
        return "display_name is missing or too long"
    if not job.runtime_config.gcs_output_directory.startswith("gs://"):
        return "gcs_output_directory must be a path in a Cloud Storage bucket"
    if job.network and not re.fullmatch(r"projects/\d+/global/networks/[\w-]+", job.network):
        return f"network {job.network} is invalid"
    # Documented (PipelineJob.labels): up to 64 of these; Google Cloud's labels in general: up to 63, and a key begins
    # with a letter. The stricter rule of each, without the international characters that both allow.
    if not all(re.fullmatch("[a-z][a-z0-9_-]{0,62}", key) for key in job.labels):
        return "a label's key is invalid"
    if not all(re.fullmatch("[a-z0-9_-]{0,63}", value) for value in job.labels.values()):
        return "a label's value is invalid"
    whole = plain(job)
    # Assumed: a pipeline is checked when the job is created. At least its schema and parameters are; the rest may also
    # make a job fail later.
    return "; ".join(problems_of(whole["pipelineSpec"], whole["runtimeConfig"]["parameterValues"]))
