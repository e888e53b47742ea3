import numpy as np
import pytest

from petalflow.model.task import Task, class_scores


@pytest.mark.parametrize(
    ("classes", "multi_label", "task", "units", "activation"),
    [
        (2, False, Task.BINARY, 1, "sigmoid"),
        (1, False, Task.MULTI_CLASS, 1, "softmax"),
        (5, False, Task.MULTI_CLASS, 5, "softmax"),
        (2, True, Task.MULTI_LABEL, 2, "sigmoid"),
        (5, True, Task.MULTI_LABEL, 5, "sigmoid"),
    ],
)
def test_the_dataset_decides_the_task_and_the_task_the_last_layer(
    classes: int, multi_label: bool, task: Task, units: int, activation: str
) -> None:
    assert Task.of(classes, multi_label=multi_label) is task
    assert (task.units(classes), task.activation) == (units, activation)


def test_a_sigmoid_is_the_score_of_the_second_class_of_two() -> None:
    outputs = np.array([[0.0], [0.25], [1.0]], np.float32)
    assert class_scores(outputs, Task.BINARY).tolist() == [[1, 0], [0.75, 0.25], [0, 1]]


@pytest.mark.parametrize("task", [Task.MULTI_CLASS, Task.MULTI_LABEL])
def test_other_outputs_are_scores_as_they_are(task: Task) -> None:
    outputs = np.array([[0.2, 0.7], [0.9, 0.1]], np.float32)
    assert class_scores(outputs, task) is outputs
