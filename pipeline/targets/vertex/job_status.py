"""How far a job of Vertex AI has come, and why it failed, as its message states it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from petalflow.run.steps import STEPS
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, SKIPPED, WAITING, StepState
from pipeline.targets.cluster import JobStatus

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import PipelineJob, PipelineTaskDetail

SUCCEEDED, CANCELLED = "PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_CANCELLED"
_ENDED = (SUCCEEDED, "PIPELINE_STATE_FAILED", CANCELLED)
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


def read_status(job: "PipelineJob") -> JobStatus:
    """Returns how far a job has come."""
    states = {
        name: StepState(name, _STATES.get(task.state.name, WAITING), _seconds(task)) for name, task in _tasks(job)
    }
    state = job.state.name
    return JobStatus(state in _ENDED, state == SUCCEEDED, states, job.error.message)


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


def failed_step(job: "PipelineJob") -> tuple[str, "PipelineTaskDetail"] | None:
    """Returns the first step that failed, and its task; None if none did, or notify alone."""
    failed = {name: task for name, task in _tasks(job) if _STATES.get(task.state.name) == FAILED}
    return next(((step, failed[step]) for step in STEPS if step in failed and step != "notify"), None)


def has_failed_to_notify(job: "PipelineJob") -> bool:
    """Returns True if notify failed."""
    return any(name == "notify" and _STATES.get(task.state.name) == FAILED for name, task in _tasks(job))


def job_error(job: "PipelineJob") -> str:
    """Returns why a job failed outside its steps."""
    inside = (task.error.message for task in job.job_detail.task_details if task.task_name not in STEPS)
    causes = [_tidy(message) for message in (*inside, job.error.message) if message]
    known = [cause for cause in causes if not cause.startswith(_FAILED_INSIDE)]
    return next(iter([*known, *causes]), "the job failed, and the service gives no reason")


def task_error(step: str, task: "PipelineTaskDetail") -> str:
    """Returns why a step failed, with the remedy, if the service knows; "" if only the step's log can tell."""
    message = _tidy(task.error.message)
    if task.state.name == "CANCELLED":
        return f"its job was cancelled ({message})" if message else "its job was cancelled"
    if _MEMORY.search(message):
        return f"{message}; give it more memory: vertex.machines={{{step}: {{memory_gb: N}}}}"
    if "quota" in message.lower():
        return f"{message}; wait, or request more under IAM & Admin > Quotas"
    return "" if _EXITED in message else message


def custom_jobs(task: "PipelineTaskDetail") -> list[str]:
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
