from datetime import UTC, datetime

import kfp_server_api
import pytest

from pipeline.targets.kubeflow.tasks import pod_nodes, read_status, was_cancelled

YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
Task = kfp_server_api.V2beta1PipelineTaskDetail


def moment(second: int | None) -> datetime:
    return YEAR_ONE if second is None else datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)


def task(name: str, state: str, begin: int, end: int | None, *children: str) -> Task:
    return Task(
        display_name=name,
        state=state,
        start_time=moment(begin),
        end_time=moment(end),
        child_tasks=[kfp_server_api.PipelineTaskDetailChildTask(pod_name=child) for child in children],
    )


def run_of(*tasks: Task) -> kfp_server_api.V2beta1Run:
    return kfp_server_api.V2beta1Run(run_details=kfp_server_api.V2beta1RunDetails(task_details=list(tasks)))


def states(*tasks: Task) -> dict[str, str]:
    steps = read_status(run_of(*tasks)).steps
    return {name: step.state for name, step in steps.items() if step.state != "waiting"}


def test_a_cached_step_is_recognized_among_steps_of_the_same_second() -> None:
    assert states(
        *(task("snapshot", "SUCCEEDED", 0, 2), task("executor", "SUCCEEDED", 0, 2)),
        *(task("convert", "SUCCEEDED", 2, 2), task("executor", "SKIPPED", 2, 2)),
        *(task("validate", "SUCCEEDED", 0, 1), task("executor", "SKIPPED", 1, 1)),
    ) == {"snapshot": "ran", "convert": "cached", "validate": "cached"}


def test_a_cached_step_stays_cached_while_a_later_one_is_running() -> None:
    assert states(
        *(task("convert", "SUCCEEDED", 2, 2), task("executor", "SKIPPED", 2, 2)),
        *(task("validate", "RUNNING", 4, None), task("executor", "RUNNING", 4, None)),
    ) == {"convert": "cached", "validate": "running"}


def test_of_a_repeated_pipeline_the_latest_attempt_counts_in_any_order() -> None:
    first = (
        task("root(0)", "FAILED", 0, 9),
        *(task("convert", "SUCCEEDED", 1, 3), task("executor", "SUCCEEDED", 1, 3)),
        *(task("train-driver", "SUCCEEDED", 4, 5), task("train", "FAILED", 5, 9), task("executor", "FAILED", 5, 9)),
    )
    second = (
        *(task("root", "RUNNING", 0, None), task("root(1)", "RUNNING", 9, None)),
        *(task("convert", "SUCCEEDED", 11, 11), task("executor", "SKIPPED", 11, 11)),
    )
    expected = {"convert": "cached"}
    assert states(*first, *second) == states(*second, *first) == expected
    again = (task("train", "RUNNING", 15, None), task("executor", "RUNNING", 15, None))
    assert states(*again, *first, *second) == {**expected, "train": "running"}


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([task("train", "FAILED", 0, 9, "w-1"), task("executor", "FAILED", 0, 9)], ["w-1"]),
        (
            [task("train", "FAILED", 0, 9, "w-1"), task("executor", "FAILED", 0, 9, "w-2", "w-3")],
            ["w-3", "w-2", "w-1"],
        ),
        (
            [
                *(task("train", "FAILED", 0, 9, "w-1"), task("train(0)", "FAILED", 0, 9, "w-2")),
                *(task("executor", "FAILED", 0, 9, "w-3"), task("executor(0)", "FAILED", 0, 9)),
                *(task("validate", "RUNNING", 9, None), task("executor", "RUNNING", 9, None, "w-9")),
            ],
            ["w-3", "w-1"],
        ),
    ],
)
def test_the_pod_of_a_step_is_the_last_child_of_its_executor(tasks: list[Task], expected: list[str]) -> None:
    assert pod_nodes(run_of(*tasks), "train") == expected


@pytest.mark.parametrize(
    ("history", "cancelled"),
    [
        (["PENDING", "RUNNING", "CANCELING", "FAILED"], True),
        (["PENDING", "RUNNING", "CANCELED"], True),
        (["PENDING", "RUNNING", "FAILED"], False),
        (["PENDING", "RUNNING", "CANCELING", "FAILED", "RUNNING", "FAILED"], False),
    ],
)
def test_a_cancelled_run_is_one_that_failed_while_it_was_canceling(history: list[str], cancelled: bool) -> None:
    statuses = [kfp_server_api.V2beta1RuntimeStatus(state=state) for state in history]
    assert was_cancelled(kfp_server_api.V2beta1Run(state=history[-1], state_history=statuses)) is cancelled
