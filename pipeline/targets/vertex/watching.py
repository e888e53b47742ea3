"""Following a job on Vertex AI: how far it has come, what holds it up, and why it failed."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from petalflow.errors import PetalflowError, UsageError
from petalflow.run import record
from petalflow.run.steps import STEPS
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, SKIPPED, WAITING, RunFile, StepState
from pipeline.target import Failure
from pipeline.targets.cluster import STILL_LOCKED, JobStatus, recorded_error
from pipeline.targets.vertex.api import CONSOLE, REQUEST_S, Api
from pipeline.targets.vertex.google_cloud import last_lines

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import PipelineJob, PipelineTaskDetail

_SUCCEEDED, _CANCELLED = "PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_CANCELLED"
_ENDED = (_SUCCEEDED, "PIPELINE_STATE_FAILED", _CANCELLED)
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
# What the service writes about a task or job that only contains the one that failed.
_FAILED_INSIDE = "The DAG failed because some tasks failed"
# What it adds to the error of a job, and what it writes if a step ended by itself, which the step's log explains.
_ADDED = re.compile(r"[;.]?\s*Job \(project_id = .*", re.DOTALL)
_EXITED = "exited with a non-zero status"
_MEMORY = re.compile(r"low on memory|out.of.memory")
# After this long without any step running, in seconds, something is probably missing.
_LONG_S = 600.0
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
        if job.state.name == _SUCCEEDED:
            return None
        if job.state.name == _CANCELLED:
            notified = record.read(request.record_uri, self._run.run_id, record.END)
            return Failure("", ("the job was cancelled" + ("" if notified else f"; {STILL_LOCKED}"),), link)
        failed = _failed_step(job)
        if failed:
            return self._step_failure(request, *failed)
        return None if _has_failed_to_notify(job) else Failure("", (_job_error(job),), link)

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
        jobs = _custom_jobs(task)
        query = _log_query(jobs, task)
        page = f"{CONSOLE}/logs/query;query={quote(query, safe='')}?project={self._api.project}"
        log = page if jobs else self._run.link
        recorded = recorded_error(request, self._run.run_id, step)
        if recorded:
            return Failure(step, (), log, recorded)
        message, reason = task.error.message, _task_error(step, task)
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


def read_status(job: "PipelineJob") -> JobStatus:
    """Returns how far a job has come."""
    states = {
        name: StepState(name, _STATES.get(task.state.name, WAITING), _seconds(task)) for name, task in _tasks(job)
    }
    state = job.state.name
    return JobStatus(state in _ENDED, state == _SUCCEEDED, states, job.error.message)


def find_problems(job: "PipelineJob", link: str) -> Iterator[str]:
    """Yields what is holding a job up; the same problem is always worded the same.

    Args:
        job: The job's message.
        link: Where a person can look at it.
    """
    if job.state.name in _ENDED:
        return
    if job.state.name == "PIPELINE_STATE_CANCELLING":
        yield "the job is being cancelled"
    if job.state.name == "PIPELINE_STATE_PAUSED":
        yield f"the job is paused; resume or cancel it: {link}"
    for name, task in _tasks(job):
        retried = [status.error.message for status in task.pipeline_task_status if status.error.message]
        if retried and _STATES.get(task.state.name, WAITING) in (WAITING, RUNNING):
            yield f"{name}: {_tidy(retried[-1])}; Vertex AI tries again"
    if job.create_time and not any(_STATES.get(task.state.name) == RUNNING for _, task in _tasks(job)):
        ends = (task.end_time for task in job.job_detail.task_details if task.end_time)
        if (datetime.now(UTC) - max([job.create_time, *ends])).total_seconds() > _LONG_S:
            yield f"no step has run for {_LONG_S / 60:.0f} minutes (no quota, or no free machine?); see {link}"


def _failed_step(job: "PipelineJob") -> tuple[str, "PipelineTaskDetail"] | None:
    """Returns the first step that failed, and its task; None if none did, or notify alone."""
    failed = {name: task for name, task in _tasks(job) if _STATES.get(task.state.name) == FAILED}
    return next(((step, failed[step]) for step in STEPS if step in failed and step != "notify"), None)


def _has_failed_to_notify(job: "PipelineJob") -> bool:
    """Returns True if notify failed."""
    return any(name == "notify" and _STATES.get(task.state.name) == FAILED for name, task in _tasks(job))


def _job_error(job: "PipelineJob") -> str:
    """Returns why a job failed outside its steps."""
    inside = (task.error.message for task in job.job_detail.task_details if task.task_name not in STEPS)
    causes = [_tidy(message) for message in (*inside, job.error.message) if message]
    known = [cause for cause in causes if not cause.startswith(_FAILED_INSIDE)]
    return next(iter([*known, *causes]), "the job failed, and the service gives no reason")


def _task_error(step: str, task: "PipelineTaskDetail") -> str:
    """Returns why a step failed, with the remedy, if the service knows; "" if only the step's log can tell."""
    message = _tidy(task.error.message)
    if task.state.name == "CANCELLED":
        return f"its job was cancelled ({message})" if message else "its job was cancelled"
    if _MEMORY.search(message):
        return f"{message}; give it more memory: vertex.machines={{{step}: {{memory_gb: N}}}}"
    if "quota" in message.lower():
        return f"{message}; wait, or request more under IAM & Admin > Quotas"
    return "" if _EXITED in message else message


def _custom_jobs(task: "PipelineTaskDetail") -> list[str]:
    """Returns the ids of the custom jobs that a task ran in: its last attempt's, and one that it started for a TPU."""
    ran = task.executor_detail.container_detail
    own = ran.main_job or next(reversed(ran.failed_main_jobs), "") or task.executor_detail.custom_job_detail.job
    started = str(task.execution.metadata.get("output:gcp_resources", "")) if "execution" in task else ""
    return [*re.findall(r"customJobs/(\d+)", f"{own} {started}")]


def _tasks(job: "PipelineJob") -> Iterator[tuple[str, "PipelineTaskDetail"]]:
    """Yields the tasks that are steps, leaving out conditions and the exit handler."""
    return ((task.task_name, task) for task in job.job_detail.task_details if task.task_name in STEPS)


def _seconds(task: "PipelineTaskDetail") -> float:
    if not task.start_time:
        return 0.0
    end = task.end_time or datetime.now(UTC)
    return max(0.0, float((end - task.start_time).total_seconds()))


def _tidy(message: str) -> str:
    return " ".join(_ADDED.sub("", message).split()).rstrip(".;")
