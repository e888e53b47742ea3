import dataclasses

import numpy as np
from numpy.typing import NDArray

from components.evaluate.mislabelled import find_mislabelled, label_errors
from petalflow.dataset import Entry, ImageStatistics
from tests.components.evaluate.samples import made_up, softmax

CLASSES = ("daisy", "rose", "tulip", "sunflower", "dandelion")


def entries(labels: NDArray[np.int64], batch: NDArray[np.bool_] | None = None, **facts: object) -> list[Entry]:
    """Returns entries of images in class folders; those of a batch are named upload7_NUMBER.jpg."""
    upload = np.zeros(len(labels), bool) if batch is None else batch
    names = [f"upload7_{at}.jpg" if upload[at] else f"{at * 7919 % 1000}x.jpg" for at in range(len(labels))]
    image = ImageStatistics(64, 64, 0, 0, 0)
    return [
        Entry(f"{CLASSES[label]}/{name}", str(at), 9, False, image, (int(label),), **facts)
        for at, (label, name) in enumerate(zip(labels, names, strict=True))
    ]


def judged(truth: NDArray[np.int64], skill: float = 6, classes: int = 5) -> NDArray[np.float32]:
    """Returns scores that tell the true classes the better, the higher `skill` is."""
    return softmax(np.random.default_rng(0).normal(size=(len(truth), classes)) + skill * np.eye(classes)[truth])


def with_tulips_among_roses() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns labels and true classes: the last 7 of 16 roses are tulips."""
    truth = np.repeat(np.arange(5), [12, 16, 12, 12, 12])
    labels = truth.copy()
    truth[12 + 9 : 12 + 16] = 2
    return labels, truth


def test_a_bad_batch_is_named_with_its_class_and_its_upload() -> None:
    labels, truth = with_tulips_among_roses()
    (found,) = find_mislabelled(labels, judged(truth), entries(labels, labels != truth), CLASSES)
    assert found.sentence == (
        "7 of 16 rose look mislabelled: they look like tulip; 7 of them are among the 7 named upload7_*"
    )
    assert found.classes == ["rose", "tulip"]
    assert found.count == 7
    assert sorted(found.files) == [f"rose/upload7_{at}.jpg" for at in range(21, 28)]


def test_a_batch_is_named_though_the_model_is_misled_by_it() -> None:
    # The names of a batch have only their beginning in common, and a third of the tulips look like roses.
    truth = np.repeat(np.arange(3), 60)
    labels = truth.copy()
    labels[120:150] = 1  # of the tulips, 30 are among the roses
    bad = labels != truth
    seen = truth.copy()
    seen[np.arange(150, 180)[::3]] = 1
    named = entries(labels)
    for at in np.flatnonzero(bad):
        named[at] = dataclasses.replace(named[at], filename=f"rose/upload_{at * 7919 % 997}_{at:x}f_n.jpg")
    (found,) = find_mislabelled(labels, judged(seen, classes=3), named, CLASSES[:3])
    assert found.sentence.startswith(
        "30 of 90 rose look mislabelled: they look like tulip; 30 of them are among the 30 "
    )
    assert found.sentence.endswith(" named upload_*")


def test_a_batch_that_did_not_come_together_is_named_by_its_class_alone() -> None:
    labels, truth = with_tulips_among_roses()
    (found,) = find_mislabelled(labels, judged(truth), entries(labels), CLASSES)
    assert found.sentence == "7 of 16 rose look mislabelled: they look like tulip"


def test_a_batch_is_recognized_by_a_column_of_the_manifest_too() -> None:
    labels, truth = with_tulips_among_roses()
    weeks = [
        Entry(f"{at}x.jpg", str(at), 9, False, ImageStatistics(9, 9, 0, 0, 0), (int(label),), "", (("week", week),))
        for at, (label, week) in enumerate(zip(labels, np.where(labels != truth, "31", "30"), strict=True))
    ]
    (found,) = find_mislabelled(labels, judged(truth), weeks, CLASSES)
    assert found.sentence.endswith("; 7 of them are among the 7 with week=31")


def test_classes_mixed_up_both_ways_are_named_together() -> None:
    truth = np.repeat(np.arange(5), 30)
    labels = truth.copy()
    labels[30:40], labels[60:70] = 2, 1
    (found,) = find_mislabelled(labels, judged(truth), entries(labels), CLASSES)
    assert found.sentence == (
        "10 of 30 rose look like tulip, and 10 of 30 tulip like rose: their labels seem to be mixed up, or the images "
        "do not tell them apart"
    )


def test_a_bad_model_blames_no_labels() -> None:
    labels = np.repeat(np.arange(5), 40)
    for skill in (0, 0.5, 1, 2):
        assert find_mislabelled(labels, judged(labels, skill), entries(labels), CLASSES) == []


def test_a_model_that_predicts_one_class_blames_no_labels() -> None:
    labels = np.repeat(np.arange(5), 40)
    assert find_mislabelled(labels, judged(np.zeros(200, int)), entries(labels), CLASSES) == []


def test_single_wrong_labels_are_no_batch() -> None:
    truth = np.repeat(np.arange(5), 40)
    labels = truth.copy()
    labels[::50] = (labels[::50] + 1) % 5
    assert find_mislabelled(labels, judged(truth), entries(labels), CLASSES) == []


def test_of_two_classes_the_one_with_a_bad_batch_is_named() -> None:
    truth = np.repeat([0, 1], 40)
    labels = truth.copy()
    labels[:10] = 1
    (found,) = find_mislabelled(labels, judged(truth, classes=2), entries(labels), CLASSES[:2])
    assert found.sentence == "8 of 50 rose look mislabelled: they look like daisy"
    assert find_mislabelled(truth, judged(truth, classes=2), entries(truth), CLASSES[:2]) == []


def test_an_image_is_suspect_if_the_model_is_confident_in_another_class() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.45, 0.55]], np.float32)
    # Class 0 is usually seen with (0.9 + 0.8 + 0.1) / 3 = 0.6, class 1 with (0.7 + 0.8 + 0.55) / 3 = 0.683.
    assert label_errors(labels, scores).tolist() == [2]


def test_each_class_has_its_own_confidence_threshold() -> None:
    # Class 2 never gets more than 0.5: one threshold for all would not suspect the last image.
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 0])
    scores = np.array(
        [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0.3, 0.3, 0.4], [0.3, 0.3, 0.4], [0.42, 0.13, 0.45]],
        np.float32,
    )
    assert label_errors(labels, scores).tolist() == [7]


def test_a_correctly_classified_image_is_not_suspect() -> None:
    labels = np.array([0, 0, 1, 1])
    scores = np.array([[0.99, 0.01], [0.51, 0.49], [0.6, 0.4], [0.55, 0.45]], np.float32)
    # The second image has more of class 1, 0.49, than the images of class 1 have on average.
    assert label_errors(labels, scores).tolist() == []
    assert label_errors(labels, scores - np.float32([[0, 0], [0.02, -0.02], [0, 0], [0, 0]])).tolist() == [1]


def test_label_errors_are_ordered_by_margin() -> None:
    labels = np.array([0] * 8 + [1] * 8)
    scores = np.tile(np.float32([0.95, 0.05]), (16, 1))
    scores[8:] = [0.05, 0.95]
    scores[2], scores[12], scores[5] = [0.04, 0.96], [0.99, 0.01], [0.001, 0.999]
    assert label_errors(labels, scores).tolist() == [5, 12, 2]


def test_swapped_labels_are_found() -> None:
    predictions = made_up(images=2000, skill=5, seed=3)
    labels = predictions.label_indices.copy()
    exchanged = np.arange(0, 2000, 40)
    labels[exchanged] = (labels[exchanged] + 1) % 4
    found = label_errors(labels, predictions.scores)
    assert np.isin(exchanged, found).mean() > 0.8
    assert np.isin(found, exchanged).mean() > 0.7
    assert np.isin(found[:20], exchanged).all()


def test_a_class_without_images_causes_no_suspects() -> None:
    scores = np.array([[0.5, 0.1, 0.4], [0.4, 0.2, 0.4], [0.1, 0.1, 0.8]], np.float32)
    assert label_errors(np.array([0, 1, 0]), scores).tolist() == [1]
    assert label_errors(np.zeros(0, int), np.zeros((0, 3), np.float32)).tolist() == []
