"""Following a job on Vertex AI, and explaining its failure."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from petalflow.errors import PetalflowError, UsageError
from petalflow.run import record
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import RunFile
from pipeline.target import Failure
from pipeline.targets.cluster import STILL_LOCKED, JobStatus, recorded_error
from pipeline.targets.vertex.api import CONSOLE, REQUEST_S, Api
from pipeline.targets.vertex.google_cloud import last_lines
from pipeline.targets.vertex.job_status import (
    CANCELLED,
    SUCCEEDED,
    custom_jobs,
    failed_step,
    find_problems,
    has_failed_to_notify,
    job_error,
    read_status,
    task_error,
)

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import PipelineJob, PipelineTaskDetail

# The log of a step that ended longer ago is complete.
_LOG_DELAY = timedelta(minutes=1)
_NO_LOG = "its log is empty; the service account that the steps run as needs roles/logging.logWriter"


class WatchedJob:
    """A job that is polled until it ends."""

    def __init__(self, api: Api, run: RunFile, display: Display) -> None:
        self._api, self._run, self._display = api, run, display
        self._noted: set[str] = set()

    def status(self) -> JobStatus:
        """Returns the status of the job; notes each problem once."""
        # Kept for `failure`: the response that ends the polling contains everything, and another request could fail.
        job = self._job = self._get()
        if job is None:
            return JobStatus(ended=True, succeeded=False)
        for problem in find_problems(job, self._run.link):
            if problem not in self._noted:
                self._noted.add(problem)
                self._display.note(problem)
        return read_status(job)

    def failure(self, request: Request) -> Failure | None:
        """Returns the failure; a failed notification does not make the run fail."""
        job, link = self._job, self._run.link
        if job is None:
            return self._deleted(request)
        if job.state.name == SUCCEEDED:
            return None
        if job.state.name == CANCELLED:
            notified = record.read(request.record_uri, self._run.run_id, record.END)
            return Failure("", ("the job was cancelled" + ("" if notified else f"; {STILL_LOCKED}"),), link)
        failed = failed_step(job)
        if failed:
            return self._step_failure(request, *failed)
        return None if has_failed_to_notify(job) else Failure("", (job_error(job),), link)

    def _get(self) -> "PipelineJob | None":
        """Returns the job, or None if it has been deleted."""
        from google.api_core.exceptions import NotFound

        name = self._run.job
        with self._api.translate_errors(name, reads=True):
            try:
                job: PipelineJob = self._api.jobs.get_pipeline_job(name=name, timeout=REQUEST_S)
            except NotFound:
                if name.startswith(f"{self._api.parent}/"):
                    return None
                raise  # another project or location than the run was submitted to
            return job

    def _deleted(self, request: Request) -> Failure:
        """Returns the failure of a run whose job has been deleted.

        Raises:
            UsageError: If the run did not fail, according to its record; the message says how to continue.
        """
        run = self._run
        ended = record.read(request.record_uri, run.run_id, record.END)
        if ended and ended["outcome"] != record.FAILED:
            raise UsageError(
                f"{run.job} was deleted after its run ended: {ended['outcome']}; remove {run.path} to start another run"
            )
        return Failure("", ((ended and ended["error"]) or "the job was deleted on Vertex AI",), run.link)

    def _step_failure(self, request: Request, step: str, task: "PipelineTaskDetail") -> Failure:
        jobs = custom_jobs(task)
        query = _log_query(jobs, task)
        page = f"{CONSOLE}/logs/query;query={quote(query, safe='')}?project={self._api.project}"
        log = page if jobs else self._run.link
        recorded = recorded_error(request, self._run.run_id, step)
        if recorded:
            return Failure(step, (), log, recorded)
        message, reason = task.error.message, task_error(step, task)
        # Worth waiting for only if nothing else explains the failure.
        just_ended = not task.end_time or datetime.now(UTC) - task.end_time < _LOG_DELAY
        lines = self._last_lines(query, wait=just_ended and not reason) if jobs else []
        if jobs and not lines and not reason:
            reason = f"{message}; {_NO_LOG}"
        return Failure(step, (*lines, *([message] if message else [])), log, f"{step}: {reason}" if reason else "")

    def _last_lines(self, query: str, *, wait: bool) -> list[str]:
        """Returns the last lines of a step's log."""
        api = self._api
        try:
            return last_lines(api.credentials, api.project, query, api.settings.logging_endpoint, wait=wait)
        except PetalflowError as error:
            return [f"its log cannot be read: {error}"]


def _log_query(jobs: list[str], task: "PipelineTaskDetail") -> str:
    since = f"{task.create_time:%Y-%m-%dT%H:%M:%SZ}"
    chosen = " OR ".join(f'"{job}"' for job in jobs)
    return f'resource.type="ml_job" AND resource.labels.job_id=({chosen}) AND timestamp>="{since}"'
