import numpy as np

from components.evaluate.report.galleries import (
    LABELS,
    MISSED,
    SURE,
    TAKEN,
    UNSURE,
    choose,
    mistakes,
    rankings,
)
from petalflow.metrics.predictions import Predictions
from petalflow.model.task import Task
from tests.components.evaluate.samples import made_up, made_up_labels

SCORES = [[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.05, 0.9, 0.05], [0.1, 0.8, 0.1], [0.5, 0.1, 0.4]]
FEW = Predictions.of(np.eye(3, dtype=bool)[[0, 0, 0, 0, 1, 2]], np.array(SCORES, np.float32), Task.MULTI_CLASS)


def listed(ranked: dict) -> dict[str, list[int]]:
    return {kind: images.tolist() for kind, images in ranked.items()}


def test_each_class_has_typical_hard_and_misclassified_images() -> None:
    first, second, third = map(listed, rankings(FEW))
    assert first == {SURE: [0, 1], UNSURE: [1, 2, 0, 3], MISSED: [3, 2], TAKEN: [5], LABELS: [3]}
    assert second[SURE] == [4]
    assert second[TAKEN] == [3, 2]
    assert third == {SURE: [], UNSURE: [5], MISSED: [5], TAKEN: [], LABELS: [5]}


def test_with_several_labels_each_label_has_its_own_galleries() -> None:
    labels = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], bool)
    scores = np.array([[0.9, 0.2], [0.3, 0.1], [0.6, 0.8], [0.05, 0.95]], np.float32)
    first, second = map(listed, rankings(Predictions.of(labels, scores, Task.MULTI_LABEL)))
    assert first == {SURE: [0], UNSURE: [1, 0], MISSED: [1], TAKEN: [2], LABELS: [1, 2]}
    assert second == {SURE: [2], UNSURE: [0, 2], MISSED: [0], TAKEN: [3], LABELS: [3, 0]}


def test_mistakes_come_with_the_predicted_class_most_confident_first() -> None:
    assert mistakes(FEW) == [(3, 1), (2, 1), (5, 0)]
    labels = np.array([[0, 0, 1], [1, 0, 0]], bool)  # of the second, a label is only missed
    scores = np.array([[0.6, 0.8, 0.9], [0.1, 0.2, 0.3]], np.float32)
    assert mistakes(Predictions.of(labels, scores, Task.MULTI_LABEL)) == [(0, 1)]


def test_galleries_show_the_first_images_of_each_ranking() -> None:
    predictions = made_up()
    choice = choose(predictions, each=3, most=1000)
    for ranked, of_class in zip(rankings(predictions), choice.galleries, strict=True):
        assert of_class[LABELS].shown == ranked[LABELS][:3].tolist()
        for kind, images in ranked.items():
            ranks = [images.tolist().index(image) for image in of_class[kind].shown]
            assert ranks == sorted(ranks)
            assert of_class[kind].count == len(images)
            assert set(of_class[kind].shown) <= set(choice.images)


def test_an_image_is_in_one_gallery_only_and_the_next_one_takes_its_place() -> None:
    predictions = made_up(images=1000)
    galleries = [gallery for kinds in choose(predictions, each=6, most=1000).galleries for gallery in kinds.values()]
    shown = [image for gallery in galleries for image in gallery.shown]
    assert len(shown) == len(set(shown))
    assert all(len(gallery.shown) == 6 for gallery in galleries)


def test_every_confusion_of_two_classes_has_images() -> None:
    predictions = made_up(classes=6)
    pairs = set(zip(predictions.label_indices.tolist(), predictions.predicted_indices.tolist(), strict=True))
    chosen = list(choose(predictions, each=2, most=1000).images)
    assert {(predictions.label_indices[at], predictions.predicted_indices[at]) for at in chosen} == pairs


def test_the_number_of_images_is_limited_and_every_class_has_some() -> None:
    predictions = made_up(images=3000, classes=12, skill=2)
    choice = choose(predictions, each=6, most=60, first=[7, 11])
    assert len(choice.images) == 60
    assert {7, 11} <= set(choice.images)
    assert all(of_class[MISSED].shown for of_class in choice.galleries)
    lengths = [len(of_class[MISSED].shown) for of_class in choice.galleries]
    assert sum(lengths) < 12 * 6 / 2
    few = choose(predictions, each=6, most=5)
    missed = [of_class[MISSED].count / of_class[UNSURE].count for of_class in few.galleries]
    shown = [bool(of_class[LABELS].shown) for of_class in few.galleries]
    assert shown[int(np.argmax(missed))]
    assert len(few.images) == 5


def test_no_images_are_shown_if_none_are_requested() -> None:
    for predictions in (made_up(), made_up_labels()):
        assert not choose(predictions, each=0, most=100).images
