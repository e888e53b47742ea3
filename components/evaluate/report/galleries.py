"""Which images the report shows: for each class typical and hard ones, mistakes, and likely label errors."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from petalflow.metrics.predictions import Predictions
from petalflow.model.task import Task

Indices = NDArray[np.int64]

SURE, UNSURE, MISSED, TAKEN, LABELS = "sure", "unsure", "missed", "taken", "labels"
# The most useful kinds come first if there is not enough room for all.
_BY_NEED = (LABELS, MISSED, TAKEN, UNSURE, SURE)
# How many correctly and how many wrongly classified images are compared side by side.
_EXAMPLES = 2


@dataclass(frozen=True)
class Gallery:
    """Images of one kind.

    Attributes:
        shown: Indices of the displayed images, the most informative first.
        count: Number of images of this kind, displayed or not.
    """

    shown: Sequence[int]
    count: int


@dataclass(frozen=True)
class Choice:
    """The images to display.

    Attributes:
        galleries: For each class: kind -> gallery.
        images: All displayed images, including those outside the galleries.
    """

    galleries: Sequence[Mapping[str, Gallery]]
    images: Collection[int]


def rankings(predictions: Predictions) -> list[dict[str, Indices]]:
    """Returns all images of each kind for each class, the most informative first.

    sure: correctly classified images of the class, highest scores first. unsure: images of the class, least confident
    first, correct or not. missed: images of the class that are misclassified. taken: images of other classes that are
    misclassified as this class; both most confident first. labels: likely label errors; with several labels per image,
    images that have the label and should not, or the other way round.

    Args:
        predictions: The predictions for the test images.
    """
    if predictions.task is Task.MULTI_LABEL:
        return [_label_rankings(predictions, at) for at in range(predictions.labels.shape[1])]
    suspects, confidence = label_errors(predictions.label_indices, predictions.scores), predictions.confidence
    return [
        _rankings(labelled, predicted, score, confidence, suspects[labelled[suspects]])
        for labelled, predicted, score in zip(
            predictions.labels.T, predictions.predicted.T, predictions.scores.T, strict=True
        )
    ]


def mistakes(predictions: Predictions) -> list[tuple[int, int]]:
    """Returns each misclassified image with the class wrongly predicted for it, most confident first."""
    scores = np.where(predictions.predicted & ~predictions.labels, predictions.scores, -1)
    wrong = scores.argmax(axis=1)
    best = scores.max(axis=1, initial=-1)
    return [(int(image), int(wrong[image])) for image in _ordered(best >= 0, -best)]


def choose(predictions: Predictions, each: int, most: int, first: Sequence[int] = ()) -> Choice:
    """Chooses the images for the galleries of each class and for each confusion of two classes.

    Args:
        predictions: The predictions for the test images.
        each: Maximum number of images per gallery.
        most: Maximum number of different images in total. If there are more, all galleries are cut to about the same
            length, and classes with the lowest recall come first.
        first: Images that are always displayed, and count towards the total.
    """
    found = rankings(predictions)
    worst = np.argsort([-_share_missed(ranked) for ranked in found], kind="stable")
    wanted = [found[at][kind][:each] for kind in _BY_NEED for at in worst]
    if predictions.task is not Task.MULTI_LABEL:
        wanted += [images[:each] for images in _confusions(predictions)]
    chosen = _fitting(wanted, most, first)

    def gallery(images: Indices) -> Gallery:
        return Gallery([image for image in images[:each].tolist() if image in chosen], len(images))

    return Choice([{kind: gallery(images) for kind, images in kinds.items()} for kinds in found], chosen)


def side_by_side(choice: Choice) -> tuple[int, list[int]]:
    """Returns the class with the most misclassified images, and some of its images: correct ones, then missed ones."""
    worst = int(np.argmax([kinds[MISSED].count for kinds in choice.galleries]))
    kinds = choice.galleries[worst]
    return worst, [*kinds[SURE].shown[:_EXAMPLES], *kinds[MISSED].shown[:_EXAMPLES]]


def label_errors(labels: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Returns the images whose label is likely wrong, the most likely first.

    Confident learning (Northcutt, Jiang and Chuang 2021, doi:10.1613/jair.1.12125): the model is confident in a class
    if its score is at least the mean score of that class on images labelled with it. An image is listed if the most
    likely of these classes is not its label, unless the prediction is the label: then a reader would see no
    contradiction. The order is by the margin between that class's score and the label's.

    Args:
        labels: The label of each image, [n].
        scores: Probabilities, [n, classes], of a model that was not trained on these images.

    Returns:
        Indices of images, at most n.
    """
    classes, images = scores.shape[1], np.arange(len(labels))
    own = scores[images, labels]
    sizes = np.bincount(labels, minlength=classes)
    # The model is never confident in a class without images.
    usual = np.divide(np.bincount(labels, own, classes), sizes, out=np.full(classes, np.inf), where=sizes > 0)
    confident = np.where(scores >= usual, scores, -1.0)
    seen = confident.argmax(axis=1)
    found = np.flatnonzero((confident[images, seen] >= 0) & (seen != labels) & (scores.argmax(axis=1) != labels))
    margin = scores[found, seen[found]] - own[found]
    return np.asarray(found[np.argsort(-margin, kind="stable")], np.int64)


def _label_rankings(predictions: Predictions, at: int) -> dict[str, Indices]:
    labelled, predicted, score = predictions.labels[:, at], predictions.predicted[:, at], predictions.scores[:, at]
    suspects = label_errors(labelled.astype(np.int64), np.stack([1 - score, score], axis=1))
    return _rankings(labelled, predicted, score, np.where(predicted, score, 1 - score), suspects)


def _rankings(
    labelled: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    score: NDArray[np.float32],
    confidence: NDArray[np.float32],
    suspects: Indices,
) -> dict[str, Indices]:
    return {
        SURE: _ordered(labelled & predicted, -score),
        UNSURE: _ordered(labelled, confidence),
        MISSED: _ordered(labelled & ~predicted, -confidence),
        TAKEN: _ordered(~labelled & predicted, -score),
        LABELS: suspects,
    }


def _ordered(chosen: NDArray[np.bool_], key: NDArray[np.float32]) -> Indices:
    images = np.flatnonzero(chosen)
    return np.asarray(images[np.argsort(key[images], kind="stable")], np.int64)


def _share_missed(ranked: dict[str, Indices]) -> float:
    return len(ranked[MISSED]) / max(len(ranked[UNSURE]), 1)


def _confusions(predictions: Predictions) -> Iterator[Indices]:
    """Yields the images of each off-diagonal cell of the confusion matrix, most confident first."""
    wrong = _ordered(~predictions.correct, -predictions.confidence)
    cells = predictions.label_indices[wrong] * predictions.labels.shape[1] + predictions.predicted_indices[wrong]
    by_cell = wrong[np.argsort(cells, kind="stable")]
    _, sizes = np.unique(cells, return_counts=True)
    yield from np.split(by_cell, np.cumsum(sizes)[:-1])


def _fitting(wanted: Sequence[Indices], most: int, first: Sequence[int]) -> Collection[int]:
    """Returns at most `most` images: the first of every ranking, then the second of every ranking, and so on."""
    chosen = dict.fromkeys(first)
    for rank in range(max(map(len, wanted), default=0)):
        for images in wanted:
            if rank < len(images) and len(chosen) < most:
                chosen[int(images[rank])] = None
    return chosen
