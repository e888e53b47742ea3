import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from petalflow.metrics.constant import best_constant
from petalflow.metrics.predictions import Predictions
from petalflow.model.task import Task


def predictions(labels: list[list[int]], task: Task) -> Predictions:
    given_labels = np.array(labels, bool)
    return Predictions.of(given_labels, np.full(given_labels.shape, 0.1, np.float32), task)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_of_single_labels_it_is_the_most_frequent_class(actual: list[int]) -> None:
    found = best_constant(predictions(np.eye(4)[actual].tolist(), Task.MULTI_CLASS))
    (chosen,) = found.classes
    assert actual.count(chosen) == max(map(actual.count, actual))
    assert found.correct.tolist() == [one == chosen for one in actual]


@given(st.lists(st.lists(st.integers(0, 1), min_size=10, max_size=10), min_size=1, max_size=30))
def test_of_several_labels_no_other_set_is_correct_more_often(labels: list[list[int]]) -> None:
    found = best_constant(predictions(labels, Task.MULTI_LABEL))
    chosen = [int(at in found.classes) for at in range(10)]
    assert found.correct.tolist() == [one == chosen for one in labels]
    assert found.correct.sum() == max(map(labels.count, labels))


def test_images_without_a_label_may_be_the_most_frequent() -> None:
    found = best_constant(predictions([[0, 0], [0, 0], [1, 0]], Task.MULTI_LABEL))
    assert (found.classes, found.correct.tolist()) == ((), [True, True, False])
