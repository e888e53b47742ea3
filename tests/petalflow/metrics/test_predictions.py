import numpy as np

from petalflow.metrics.predictions import UNKNOWN, Predictions
from petalflow.model.task import Task

SCORES = np.array([[0.7, 0.3, 0.0], [0.2, 0.3, 0.5]], np.float32)


def test_the_class_with_the_top_score_is_predicted() -> None:
    labels = np.array([[True, False, False], [False, True, False]])
    predictions = Predictions.of(labels, SCORES, Task.MULTI_CLASS)
    assert predictions.predicted_indices.tolist() == [0, 2]
    assert predictions.label_indices.tolist() == [0, 1]
    assert predictions.correct.tolist() == [True, False]
    assert predictions.confidence.tolist() == [np.float32(0.7), np.float32(0.5)]
    assert predictions.strata.tolist() == [0, 1]


def test_labels_above_the_threshold_are_predicted_and_all_must_be_correct() -> None:
    labels = np.array([[True, False, False], [False, False, False]])
    predictions = Predictions.of(labels, np.array([[0.7, 0.3, 0.6], [0.2, 0.3, 0.5]], np.float32), Task.MULTI_LABEL)
    assert predictions.predicted.tolist() == [[True, False, True], [False, False, False]]
    assert predictions.correct.tolist() == [False, True]
    assert set(predictions.strata) == {0}


def test_a_prediction_of_an_unknown_class_is_wrong() -> None:
    labels = np.array([[True, False], [False, True]])
    predicted = np.array([[False, False], [False, True]])
    predictions = Predictions(labels, SCORES[:, :2], predicted, Task.MULTI_CLASS)
    assert predictions.predicted_indices.tolist() == [UNKNOWN, 1]
    assert predictions.correct.tolist() == [False, True]


def test_a_subset_of_the_images_can_be_selected() -> None:
    labels = np.array([[True, False, False], [False, True, False]])
    some = Predictions.of(labels, SCORES, Task.MULTI_CLASS).subset(np.array([False, True]))
    assert (some.images, some.label_indices.tolist(), some.predicted_indices.tolist()) == (1, [1], [2])
