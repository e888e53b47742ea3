import numpy as np
import pytest

from petalflow.model.task import Task, apply_temperature, class_scores


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
def test_other_outputs_are_already_scores(task: Task) -> None:
    outputs = np.array([[0.2, 0.7], [0.9, 0.1]], np.float32)
    assert class_scores(outputs, task) is outputs


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_scores_at_a_temperature_are_those_of_the_divided_logits(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(0, 2, (50, 3))

    def softmax(values: np.ndarray) -> np.ndarray:
        return np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)

    def sigmoid(values: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-values))

    of_many = apply_temperature(softmax(logits).astype(np.float32), temperature, Task.MULTI_CLASS)
    np.testing.assert_allclose(of_many, softmax(logits / temperature), rtol=1e-4)
    of_several = apply_temperature(sigmoid(logits).astype(np.float32), temperature, Task.MULTI_LABEL)
    np.testing.assert_allclose(of_several, sigmoid(logits / temperature), rtol=1e-4)
    both = class_scores(sigmoid(logits[:, :1]).astype(np.float32), Task.BINARY)
    of_two = apply_temperature(both, temperature, Task.BINARY)
    np.testing.assert_allclose(of_two[:, 1], sigmoid(logits[:, 0] / temperature), rtol=1e-4)
    assert of_two.sum(axis=1) == pytest.approx(1)
