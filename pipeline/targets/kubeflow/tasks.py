"""The states of our steps, derived from the tasks of a Kubeflow run.

The API server (2.x) lists the nodes of the pipeline's Argo workflow in any order, by their display names.
The step `train` consists of three (backend/src/v2/compiler/argocompiler/container.go and dag.go):

    train-driver    resolves the inputs and queries the cache
    train           the step; omitted if its driver failed, absent if a condition was not met
    executor        the pod of the step, a child of it; SKIPPED if the cache had the result

Conditions (`condition-2`), the exit handler (`exit-handler-1`) and `root` are pairs of driver and task too. What Argo
omits or has not started is RUNTIME_STATE_UNSPECIFIED (backend/src/apiserver/model/run.go); errors of tasks are usually
empty. Kubeflow's default manifests, and machines with retries, add attempts: `executor` has the children `executor(0)`,
`executor(1)` ..., and so has every other task. An attempt at a group, up to the whole pipeline, repeats its tasks under
the same names.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
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
_EXECUTOR = "executor"
_ATTEMPT = re.compile(r"(?P<name>.+)\((?P<number>\d+)\)")
# Enough for a node to be started and a large image to be pulled.
_PATIENCE = timedelta(minutes=10)


def has_ended(run: "Run") -> bool:
    """Returns True if a run has ended."""
    return run.state in _ENDED


def read_status(run: "Run") -> JobStatus:
    """Returns the status of a run and its steps."""
    tasks = _latest_tasks(run)
    steps = {step: _step(step, tasks) for step in STEPS}
    return JobStatus(has_ended(run), run.state == "SUCCEEDED", steps, error_message(run))


def was_cancelled(run: "Run") -> bool:
    """Returns True if a run was cancelled, although the server calls it FAILED: it was CANCELING before that."""
    before = [status.state for status in run.state_history or () if status.state != "FAILED"]
    return run.state == "CANCELED" or (run.state == "FAILED" and before[-1:] == ["CANCELING"])


def failed_step(run: "Run") -> tuple[str, "Task"] | None:
    """Returns the first step that failed and its failed task: the step's own, or its driver's.

    A failed notification does not make the run fail.
    """
    tasks = _latest_tasks(run)
    for step in STEPS:
        for task in (_latest(tasks, step), _latest(tasks, f"{step}-driver")):
            if task is not None and task.state == "FAILED" and step != "notify":
                return step, task
    return None


def failed_group(run: "Run") -> "tuple[str, Task] | None":
    """Returns a group of steps whose driver failed, and the driver: a condition, the exit handler or the pipeline."""
    drivers = ((_base_name(task).removesuffix("-driver"), task) for task in _latest_tasks(run))
    failed = (driver for driver in drivers if _base_name(driver[1]) == f"{driver[0]}-driver")
    return next((driver for driver in failed if driver[1].state == "FAILED" and driver[0] not in STEPS), None)


def error_message(what: "Run | Task | None") -> str:
    """Returns the service's error message about a run or a task, or ""."""
    errors = [what.error, *(status.error for status in what.state_history or ())] if what else []
    return next((error.message for error in errors if error and error.message), "")


def waiting_step(run: "Run") -> str | None:
    """Returns the step whose pod, or whose driver's pod, has been unable to start for a long time."""
    tasks, long_ago = _latest_tasks(run), datetime.now(UTC) - _PATIENCE
    for step in STEPS:
        own = _latest(tasks, step)
        executors = _executors(own, tasks) if own is not None and own.state == "RUNNING" else []
        drivers = [task for task in tasks if _base_name(task) == f"{step}-driver"]
        if any(task.state == "PENDING" and task.start_time < long_ago for task in (*executors, *drivers)):
            return step
    return None


def pod_nodes(run: "Run", step: str) -> list[str]:
    """Returns the ids of the nodes that may be a step's pod, or its pod's name, the likeliest first.

    Tasks name their children but not themselves. So the pods are the children of the step's executor, or else of the
    step; the last child is the latest attempt.
    """
    tasks = _latest_tasks(run)
    own = _latest(tasks, step)
    if own is None:
        return []
    parents = [*sorted(_executors(own, tasks), key=_start, reverse=True), own]
    named = [task.pod_name for task in parents if task.pod_name]
    children = [child.pod_name for task in parents for child in reversed(task.child_tasks or ()) if child.pod_name]
    return list(dict.fromkeys((*children, *named)))


def _latest_tasks(run: "Run") -> list["Task"]:
    """Returns the tasks of a run, without those of attempts that were followed by another one."""
    tasks = [task for task in (run.run_details and run.run_details.task_details) or () if task.start_time is not None]
    repeated = list(_repeated_attempts(tasks))
    return [task for task in tasks if not any(_is_within(task, attempt) for attempt in repeated)]


def _repeated_attempts(tasks: Sequence["Task"]) -> Iterator["Task"]:
    by_name: dict[str, list[Task]] = {}
    for task in tasks:
        by_name.setdefault(str(task.display_name), []).append(task)
    for name, attempts in by_name.items():
        match = _ATTEMPT.fullmatch(name)
        if match and match["name"] != _EXECUTOR:
            following = by_name.get(f"{match['name']}({int(match['number']) + 1})", ())
            for attempt in attempts:
                if any(_has_end(attempt) and attempt.end_time <= other.start_time for other in following):
                    yield attempt


def _step(step: str, tasks: Sequence["Task"]) -> StepState:
    task, driver = _latest(tasks, step), _latest(tasks, f"{step}-driver")
    if driver is not None and driver.state == "FAILED":
        return StepState(step, FAILED)
    if task is None:
        return StepState(step, WAITING)
    state = _STATES.get(task.state, WAITING)
    if state == RAN and _came_from_cache(task, tasks):
        return StepState(step, CACHED)
    return StepState(step, state, _seconds(task) if state in (RAN, FAILED, RUNNING) else 0)


def _came_from_cache(step: "Task", tasks: Iterable["Task"]) -> bool:
    """Returns True if the executor was skipped."""
    executors = _executors(step, tasks)
    return bool(executors) and all(task.state == "SKIPPED" for task in executors)


def _executors(step: "Task", tasks: Iterable["Task"]) -> list["Task"]:
    """Returns the executor of a step and its attempts; tasks do not name their parents, so they are found by time."""
    return [task for task in tasks if _base_name(task) == _EXECUTOR and _is_within(task, step)]


def _is_within(task: "Task", other: "Task") -> bool:
    """Returns True if a task started and ended while another one ran, which may still be running."""
    if task.start_time < other.start_time:
        return False
    return not _has_end(other) or (_has_end(task) and task.end_time <= other.end_time)


def _latest(tasks: Iterable["Task"], name: str) -> "Task | None":
    return max((task for task in tasks if task.display_name == name), key=_start, default=None)


def _base_name(task: "Task") -> str:
    match = _ATTEMPT.fullmatch(str(task.display_name))
    return match["name"] if match else str(task.display_name)


def _start(task: "Task") -> datetime:
    return task.start_time  # type: ignore[no-any-return]


def _has_end(task: "Task") -> bool:
    """Returns True if a task has ended; one in progress has no end, or one in the year 1."""
    return bool(task.end_time is not None and task.end_time >= task.start_time)


def _seconds(task: "Task") -> float:
    if not _has_end(task) and task.state in _ENDED:
        return 0.0
    ended = task.end_time if _has_end(task) else datetime.now(UTC)
    return max(0.0, float((ended - task.start_time).total_seconds()))
