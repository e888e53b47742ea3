"""Following a run on Kubeflow, and explaining its failure."""

from typing import TYPE_CHECKING

from pipeline.display import Display
from pipeline.run_file import FAILED
from pipeline.target import Failure
from pipeline.targets.cluster import JobStatus
from pipeline.targets.kubeflow.api import Api
from pipeline.targets.kubeflow.pods import launcher_error, pod_problem, read_log
from pipeline.targets.kubeflow.tasks import error_message, failed_step, read_status, waiting_step, was_cancelled

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run as Run

_LOG_LINES = 50
_GUESS = "its image cannot be pulled, no node has room for it, or a quota is used up"


class WatchedRun:
    """A run that is polled until it ends."""

    def __init__(self, api: Api, job: str, display: Display) -> None:
        self._api, self._job, self._display = api, job, display
        self._was_canceling = False
        self._noted: set[str] = set()

    def status(self) -> JobStatus:
        """Returns the status of the run; notes once if a pod does not start, on which Kubeflow would wait for ever."""
        run = self._run = self._api.run(self._job)
        self._was_canceling = run.state == "CANCELING" or (self._was_canceling and run.state == "FAILED")
        step = waiting_step(run)
        if step and step not in self._noted:
            self._noted.add(step)
            problem = pod_problem(self._api, run, step) or _GUESS
            self._display.note(f"{step} is waiting for its pod to start: {problem}; fix it, or terminate the run")
        return read_status(run)

    def failure(self, recorded: str, link: str) -> Failure | None:
        """Returns the failure; None if only the notification failed.

        Args:
            recorded: The error in the record of the run, or "".
            link: The page of the run.
        """
        run = self._run
        # Some servers do not keep CANCELING in the history (kubeflow/pipelines issue 13786).
        if was_cancelled(run) or self._was_canceling:
            return Failure("", ("the run was cancelled",), link)
        failed = failed_step(run)
        if recorded:
            return Failure(failed[0] if failed else "", (), link, recorded)
        if failed is None:
            status = read_status(run)
            if status.steps["notify"].state == FAILED:
                return None
            unexplained = "the run failed outside its steps, and Kubeflow gives no reason; the UI shows the logs"
            return Failure("", (status.error or unexplained,), link)
        step, task = failed
        if task.display_name != step:
            message = error_message(task) or "Kubeflow could not start it (the driver failed); the UI shows its log"
            return Failure(step, (message,), link)
        return _step_failure(self._api, run, step, error_message(task), link)


def _step_failure(api: Api, run: "Run", step: str, message: str, link: str) -> Failure:
    log = read_log(api, run, step)
    reason = pod_problem(api, run, step) or (launcher_error(log) if log else "")
    lines = log.rstrip("\n").split("\n")[-_LOG_LINES:] if log else ["its log cannot be read from here"]
    return Failure(step, (*lines, *filter(None, [message])), link, f"{step}: {reason}" if reason else "")
