"""Which images the report shows: of each class the clearest, the hardest, the mistakes, and likely label errors."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from petalflow.metrics.predictions import Predictions
from petalflow.model.task import Task

Indices = NDArray[np.int64]

SURE, UNSURE, MISSED, TAKEN, LABELS = "sure", "unsure", "missed", "taken", "labels"
# What is looked for in a report comes first where not everything has room.
_BY_NEED = (LABELS, MISSED, TAKEN, UNSURE, SURE)
# How many correctly and how many wrongly classified images are compared side by side.
_EXAMPLES = 2


@dataclass(frozen=True)
class Gallery:
    """Some images of one kind.

    Attributes:
        shown: Indices of the images shown, the most telling first.
        count: How many there are of the kind.
    """

    shown: Sequence[int]
    count: int


@dataclass(frozen=True)
class Choice:
    """What is shown.

    Attributes:
        galleries: Of each class: kind -> its gallery.
        images: All images that are shown, those of no gallery too.
    """

    galleries: Sequence[Mapping[str, Gallery]]
    images: Collection[int]


def rankings(predictions: Predictions) -> list[dict[str, Indices]]:
    """Returns for each class all images of each kind, the most telling first.

    sure: classified correctly as it, the highest scores first. unsure: of it, the least confident first, right or
    wrong. missed: of it, and classified otherwise. taken: of others, and classified as it; both most confident first.
    labels: likely label errors; of several labels, those that have it and should not, or the other way round.

    Args:
        predictions: To the test images.
    """
    if predictions.task is Task.MULTI_LABEL:
        return [_of_label(predictions, at) for at in range(predictions.labels.shape[1])]
    suspects, confidence = label_errors(predictions.label_indices, predictions.scores), predictions.confidence
    return [
        _ranked(labelled, predicted, score, confidence, suspects[labelled[suspects]])
        for labelled, predicted, score in zip(
            predictions.labels.T, predictions.predicted.T, predictions.scores.T, strict=True
        )
    ]


def mistakes(predictions: Predictions) -> list[tuple[int, int]]:
    """Returns the images answered with a class that they are not of, and that class; the most confident first."""
    scores = np.where(predictions.predicted & ~predictions.labels, predictions.scores, -1)
    wrong = scores.argmax(axis=1)
    best = scores.max(axis=1, initial=-1)
    return [(int(image), int(wrong[image])) for image in _ordered(best >= 0, -best)]


def choose(predictions: Predictions, each: int, most: int, first: Sequence[int] = ()) -> Choice:
    """Returns the galleries of each class, and images for each confusion of two classes.

    Args:
        predictions: To the test images.
        each: How many images a gallery shows at most.
        most: How many different images there may be in all. Where more are wanted, every gallery is cut to about the
            same length, and the classes that are missed most often come first.
        first: Images that are shown in any case, and count among these.
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
    """Returns the class that most images are missed of, and some of its images: right ones, and missed ones."""
    worst = int(np.argmax([kinds[MISSED].count for kinds in choice.galleries]))
    kinds = choice.galleries[worst]
    return worst, [*kinds[SURE].shown[:_EXAMPLES], *kinds[MISSED].shown[:_EXAMPLES]]


def label_errors(labels: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Returns the images whose label is likely wrong, the likeliest first.

    Confident learning (Northcutt, Jiang and Chuang 2021, doi:10.1613/jair.1.12125): a class is seen with confidence
    where its score is at least its mean score on the images labelled with it. An image counts where the class so seen,
    or the best of several, is not its label, unless the answer is its label: to a reader that contradicts nothing. They
    are in the order of the margin by which that class beats the label.

    Args:
        labels: The class that each image is said to be of, [n].
        scores: Probabilities, [n, classes], of a model that was not trained on these images.

    Returns:
        Indices of images, [0..n].
    """
    classes, images = scores.shape[1], np.arange(len(labels))
    own = scores[images, labels]
    sizes = np.bincount(labels, minlength=classes)
    # A class without images is never seen with confidence.
    usual = np.divide(np.bincount(labels, own, classes), sizes, out=np.full(classes, np.inf), where=sizes > 0)
    confident = np.where(scores >= usual, scores, -1.0)
    seen = confident.argmax(axis=1)
    found = np.flatnonzero((confident[images, seen] >= 0) & (seen != labels) & (scores.argmax(axis=1) != labels))
    margin = scores[found, seen[found]] - own[found]
    return np.asarray(found[np.argsort(-margin, kind="stable")], np.int64)


def _of_label(predictions: Predictions, at: int) -> dict[str, Indices]:
    labelled, predicted, score = predictions.labels[:, at], predictions.predicted[:, at], predictions.scores[:, at]
    suspects = label_errors(labelled.astype(np.int64), np.stack([1 - score, score], axis=1))
    return _ranked(labelled, predicted, score, np.where(predicted, score, 1 - score), suspects)


def _ranked(
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
    """Yields the images of each cell of the confusion matrix off its diagonal, the most confident first."""
    wrong = _ordered(~predictions.correct, -predictions.confidence)
    cells = predictions.label_indices[wrong] * predictions.labels.shape[1] + predictions.predicted_indices[wrong]
    by_cell = wrong[np.argsort(cells, kind="stable")]
    _, sizes = np.unique(cells, return_counts=True)
    yield from np.split(by_cell, np.cumsum(sizes)[:-1])


def _fitting(wanted: Sequence[Indices], most: int, first: Sequence[int]) -> Collection[int]:
    """Returns no more than `most` images: of every ranking the first, then of every the second, and so on."""
    chosen = dict.fromkeys(first)
    for rank in range(max(map(len, wanted), default=0)):
        for images in wanted:
            if rank < len(images) and len(chosen) < most:
                chosen[int(images[rank])] = None
    return chosen
