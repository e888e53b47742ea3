import numpy as np
import pytest

from components.evaluate.measure import Proportion, measure, most_confident_mistakes


def test_figures_of_known_predictions() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    result = measure(labels, predicted, ["a", "b", "c"])
    assert result.accuracy == Proportion(4, 6)
    assert result.recalls == {"a": Proportion(2, 3), "b": Proportion(2, 2), "c": Proportion(0, 1)}
    assert result.confusion.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_an_answer_of_no_known_class_is_wrong_and_counts() -> None:
    result = measure(np.array([0, 1, 1]), np.array([0, -1, 1]), ["a", "b"])
    assert result.accuracy == Proportion(2, 3)
    assert result.recalls["b"] == Proportion(1, 2)


def test_a_class_without_images_has_no_value_and_the_widest_interval() -> None:
    recall = measure(np.array([0]), np.array([0]), ["a", "b"]).recalls["b"].to_json()
    assert recall["value"] is None
    assert (recall["low"], recall["high"]) == (0, 1)


def test_mistakes_come_the_most_confident_first() -> None:
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.99, 0.01]], np.float32)
    labels = np.array([0, 1, 0, 1])
    assert most_confident_mistakes(labels, scores, limit=10) == [3, 2, 1]
    assert most_confident_mistakes(labels, scores, limit=1) == [3]


def test_no_trials_no_value() -> None:
    assert Proportion(0, 0).value is None
    assert Proportion(1, 4).value == pytest.approx(0.25)
