import numpy as np

from petalflow.metrics.predictions import UNKNOWN, Answers
from petalflow.model.task import Task

SCORES = np.array([[0.7, 0.3, 0.0], [0.2, 0.3, 0.5]], np.float32)


def test_of_one_class_an_image_the_likeliest_is_the_answer() -> None:
    truth = np.array([[True, False, False], [False, True, False]])
    answers = Answers.of(truth, SCORES, Task.MULTI_CLASS)
    assert answers.predicted.tolist() == [0, 2]
    assert answers.labels.tolist() == [0, 1]
    assert answers.right.tolist() == [True, False]
    assert answers.confidence.tolist() == [np.float32(0.7), np.float32(0.5)]
    assert answers.strata.tolist() == [0, 1]


def test_of_several_labels_each_that_is_likelier_than_not_is_given_and_all_must_be_right() -> None:
    truth = np.array([[True, False, False], [False, False, False]])
    answers = Answers.of(truth, np.array([[0.7, 0.3, 0.6], [0.2, 0.3, 0.5]], np.float32), Task.MULTI_LABEL)
    assert answers.given.tolist() == [[True, False, True], [False, False, False]]
    assert answers.right.tolist() == [False, True]
    assert set(answers.strata) == {0}


def test_an_answer_of_no_known_class_is_wrong() -> None:
    truth = np.array([[True, False], [False, True]])
    given = np.array([[False, False], [False, True]])
    answers = Answers(truth, SCORES[:, :2], given, Task.MULTI_CLASS)
    assert answers.predicted.tolist() == [UNKNOWN, 1]
    assert answers.right.tolist() == [False, True]


def test_some_of_the_images_can_be_taken() -> None:
    truth = np.array([[True, False, False], [False, True, False]])
    some = Answers.of(truth, SCORES, Task.MULTI_CLASS).of_images(np.array([False, True]))
    assert (some.images, some.labels.tolist(), some.predicted.tolist()) == (1, [1], [2])
