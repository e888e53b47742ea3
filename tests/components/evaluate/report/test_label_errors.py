import numpy as np

from components.evaluate.report.label_errors import label_errors
from tests.components.evaluate.samples import made_up


def test_an_image_is_suspect_where_another_class_is_seen_with_confidence() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.45, 0.55]], np.float32)
    # Class 0 is usually seen with (0.9 + 0.8 + 0.1) / 3 = 0.6, class 1 with (0.7 + 0.8 + 0.55) / 3 = 0.683.
    assert label_errors(labels, scores).tolist() == [2]


def test_a_class_that_is_always_seen_weakly_is_held_to_its_own_measure() -> None:
    # Class 2 never gets more than 0.5: one threshold for all would not suspect the last image.
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 0])
    scores = np.array(
        [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0.3, 0.3, 0.4], [0.3, 0.3, 0.4], [0.42, 0.13, 0.45]],
        np.float32,
    )
    assert label_errors(labels, scores).tolist() == [7]


def test_an_image_that_is_answered_with_its_label_is_not_suspect() -> None:
    labels = np.array([0, 0, 1, 1])
    scores = np.array([[0.99, 0.01], [0.51, 0.49], [0.6, 0.4], [0.55, 0.45]], np.float32)
    # The second image has more of class 1, 0.49, than the images of class 1 have on average.
    assert label_errors(labels, scores).tolist() == []
    assert label_errors(labels, scores - np.float32([[0, 0], [0.02, -0.02], [0, 0], [0, 0]])).tolist() == [1]


def test_those_contradicted_by_most_come_first() -> None:
    labels = np.array([0] * 8 + [1] * 8)
    scores = np.tile(np.float32([0.95, 0.05]), (16, 1))
    scores[8:] = [0.05, 0.95]
    scores[2], scores[12], scores[5] = [0.04, 0.96], [0.99, 0.01], [0.001, 0.999]
    assert label_errors(labels, scores).tolist() == [5, 12, 2]


def test_labels_that_were_exchanged_are_found_again() -> None:
    predictions = made_up(images=2000, skill=5, seed=3)
    labels = predictions.label_indices.copy()
    exchanged = np.arange(0, 2000, 40)
    labels[exchanged] = (labels[exchanged] + 1) % 4
    found = label_errors(labels, predictions.scores)
    assert np.isin(exchanged, found).mean() > 0.8
    assert np.isin(found, exchanged).mean() > 0.7
    assert np.isin(found[:20], exchanged).all()


def test_a_class_without_images_is_suspected_of_nothing() -> None:
    scores = np.array([[0.5, 0.1, 0.4], [0.4, 0.2, 0.4], [0.1, 0.1, 0.8]], np.float32)
    assert label_errors(np.array([0, 1, 0]), scores).tolist() == [1]
    assert label_errors(np.zeros(0, int), np.zeros((0, 3), np.float32)).tolist() == []
