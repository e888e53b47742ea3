"""Following a run on Kubeflow, and explaining its failure."""

from typing import TYPE_CHECKING

from petalflow.run import record
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import FAILED, RunFile
from pipeline.target import Failure
from pipeline.targets.cluster import STILL_LOCKED, JobStatus, recorded_error
from pipeline.targets.kubeflow.api import Api
from pipeline.targets.kubeflow.pods import launcher_error, pod_problem, read_log
from pipeline.targets.kubeflow.tasks import (
    error_message,
    failed_group,
    failed_step,
    read_status,
    waiting_step,
    was_cancelled,
)

if TYPE_CHECKING:
    from kfp_server_api import V2beta1PipelineTaskDetail as Task

_LOG_LINES = 50
_POSSIBLE = "Kubernetes may not be able to pull its image, or may have no room for it; the UI shows the pod's events"


class WatchedRun:
    """A run that is polled until it ends."""

    def __init__(self, api: Api, run: RunFile, display: Display) -> None:
        self._api, self._display = api, display
        self._run_id, self._job, self._link = run.run_id, run.job, run.link
        self._was_canceling = False
        self._noted: set[str] = set()

    def status(self) -> JobStatus:
        """Returns the status of the run; notes once if a pod does not start, on which Kubeflow would wait for ever."""
        run = self._run = self._api.run(self._job)
        self._was_canceling = run.state == "CANCELING" or (self._was_canceling and run.state == "FAILED")
        step = waiting_step(run)
        if step and step not in self._noted:
            self._noted.add(step)
            problem = pod_problem(self._api, run, step)
            cause = f"{problem}; fix it, or terminate the run" if problem else _POSSIBLE
            self._display.note(f"{step} has been waiting for its pod for more than ten minutes: {cause}")
        return read_status(run)

    def failure(self, request: Request) -> Failure | None:
        """Returns the failure; None if only the notification failed."""
        run, link = self._run, self._link
        ended = record.read(request.record_uri, self._run_id, record.END)
        # Some servers do not keep CANCELING in the history (kubeflow/pipelines issue 13786).
        if was_cancelled(run) or self._was_canceling:
            return Failure("", ("the run was cancelled" + ("" if ended else f"; {STILL_LOCKED}"),), link)
        notified = str((ended or {}).get("error", ""))
        failed = failed_step(run)
        if failed:
            return self._step_failure(*failed, recorded_error(request, self._run_id, failed[0]), notified)
        group, status = failed_group(run), read_status(run)
        if group:
            name, driver = group
            unexplained = f"Kubeflow could not start {name} (its driver failed); the UI shows its log"
            return Failure("", (notified or error_message(driver) or unexplained,), link)
        if status.steps["notify"].state == FAILED and not notified:
            return None
        unexplained = "the run failed outside its steps, and Kubeflow gives no reason; the UI shows the logs"
        return Failure("", (notified or status.error or unexplained,), link)

    def _step_failure(self, step: str, task: "Task", recorded: str, notified: str) -> Failure:
        """Returns the failure of a step.

        Args:
            step: The step.
            task: Its failed task: its own, or its driver's.
            recorded: The error that the step recorded, or "".
            notified: The error that notify recorded, or "".
        """
        api, run, link, message = self._api, self._run, self._link, error_message(task)
        if task.display_name != step:
            unexplained = "Kubeflow could not start it (the driver failed); the UI shows its log"
            return Failure(step, (message or unexplained,), link)
        if recorded:
            return Failure(step, (), link, recorded)
        log = read_log(api, run, step)
        reason = pod_problem(api, run, step) or (launcher_error(log) if log else "")
        lines = log.rstrip("\n").split("\n")[-_LOG_LINES:] if log else ["its log cannot be read from here"]
        explained = f"{step}: {reason}" if reason else notified
        return Failure(step, (*lines, *filter(None, [message])), link, explained)
