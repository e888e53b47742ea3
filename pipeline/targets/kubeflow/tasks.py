"""The states of our steps, derived from the tasks of a Kubeflow run.

The API server (2.x) lists the nodes of the pipeline's Argo workflow, by their display names.
The step `train` consists of three (backend/src/v2/compiler/argocompiler/container.go and dag.go):

    train-driver    resolves the inputs and queries the cache
    train           the step; omitted if its driver failed, absent if a condition was not met
    executor        the pod of the step, a child of it; SKIPPED if the cache had the result

Conditions, the exit handler and `root` are pairs of driver and task too. What Argo omits or has not started is
RUNTIME_STATE_UNSPECIFIED (backend/src/apiserver/model/run.go); errors of tasks are usually empty.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from petalflow.run.steps import STEPS
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, SKIPPED, WAITING, StepState
from pipeline.targets.cluster import JobStatus

if TYPE_CHECKING:
    from kfp_server_api import V2beta1PipelineTaskDetail as Task
    from kfp_server_api import V2beta1Run as Run

# A cancelled run is CANCELING until its pods are gone.
_ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
_STATES = {
    "SUCCEEDED": RAN,
    "SKIPPED": SKIPPED,
    "FAILED": FAILED,
    "CANCELED": FAILED,
    "CANCELING": RUNNING,
    "RUNNING": RUNNING,
    "PENDING": RUNNING,
    "PAUSED": RUNNING,
}
_POD = "-system-container-impl-"


def read_status(run: "Run") -> JobStatus:
    """Returns the status of a run and its steps."""
    steps = {step: _step(step, run_tasks(run)) for step in STEPS}
    return JobStatus(run.state in _ENDED, run.state == "SUCCEEDED", steps, error_message(run))


def run_tasks(run: "Run") -> Sequence["Task"]:
    """Returns the tasks of a run; none if it has just started."""
    details = run.run_details and run.run_details.task_details
    return details or ()


def find_pods(run: "Run", step: str) -> list[str]:
    """Returns the possible names of a step's pod.

    The API gives the Argo node `<workflow>-<hash>`, or the pod's name, which has the template in between.
    """
    children = [
        child.pod_name
        for task in _named(run_tasks(run), step)
        for child in (task.child_tasks or ())
        if child.pod_name is not None
    ]
    return [name for child in children for name in _pod_names(child)]


def error_message(what: "Run | Task | None") -> str:
    """Returns the service's error message about a run or a task, or ""."""
    errors = [what.error, *(status.error for status in what.state_history or ())] if what else []
    return next((error.message for error in errors if error and error.message), "")


def failed_step(run: "Run") -> tuple[str, "Task"] | None:
    """Returns the first step that failed and its failed task: the step's own, or its driver's.

    A failed notification does not make the run fail.
    """
    for step in STEPS:
        for task in (*_named(run_tasks(run), step), *_named(run_tasks(run), f"{step}-driver")):
            if task.state == "FAILED" and step != "notify":
                return step, task
    return None


def _step(step: str, tasks: Sequence["Task"]) -> StepState:
    task = next(iter(_named(tasks, step)), None)
    if any(driver.state == "FAILED" for driver in _named(tasks, f"{step}-driver")):
        return StepState(step, FAILED)
    if task is None:
        return StepState(step, WAITING)
    state = _STATES.get(task.state, WAITING)
    if state == RAN and _came_from_cache(task, tasks):
        return StepState(step, CACHED)
    return StepState(step, state, _seconds(task) if state in (RAN, FAILED, RUNNING) else 0)


def _came_from_cache(step: "Task", tasks: Iterable["Task"]) -> bool:
    """Returns True if the executor was skipped; tasks do not name their parents, so it is found by its time."""
    within = [
        task
        for task in _named(tasks, "executor")
        if step.start_time <= task.start_time and task.end_time <= step.end_time
    ]
    return bool(within) and all(task.state == "SKIPPED" for task in within)


def _named(tasks: Iterable["Task"], name: str) -> list["Task"]:
    return [task for task in tasks if task.display_name == name]


def _seconds(task: "Task") -> float:
    if task.start_time is None:
        return 0.0
    # A task in progress has no end, or one in the year 1.
    ended = task.end_time if task.end_time and task.end_time > task.start_time else None
    if ended is None and task.state in _ENDED:
        return 0.0
    return max(0.0, float(((ended or datetime.now(UTC)) - task.start_time).total_seconds()))


def _pod_names(child: str) -> list[str]:
    workflow, _, number = child.rpartition("-")
    return [child] if _POD in child else [f"{workflow}{_POD}{number}", child]
