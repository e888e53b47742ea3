"""Which images the report shows: for each class typical and hard ones, mistakes, and likely label errors."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluate.mislabelled import label_errors
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
        count: Number of images of this kind, displayed here, in another gallery, or not at all.
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
    own = _once(found, worst, each)
    wanted = [own[at][kind] for kind in _BY_NEED for at in worst]
    if predictions.task is not Task.MULTI_LABEL:
        wanted += [images[:each] for images in _confusions(predictions)]
    chosen = _fitting(wanted, most, first)

    def gallery(at: int, kind: str) -> Gallery:
        shown = [image for image in own[at][kind].tolist() if image in chosen]
        return Gallery(shown, len(found[at][kind]))

    return Choice([{kind: gallery(at, kind) for kind in kinds} for at, kinds in enumerate(found)], chosen)


def _once(found: Sequence[Mapping[str, Indices]], worst: Indices, each: int) -> list[dict[str, Indices]]:
    """Returns the first `each` images of every ranking that no ranking before has; useful kinds come first."""
    seen: set[int] = set()
    own: list[dict[str, Indices]] = [{} for _ in found]
    for kind in _BY_NEED:
        for at in worst.tolist():
            images = [image for image in found[at][kind].tolist() if image not in seen][:each]
            own[at][kind] = np.array(images, np.int64)
            seen.update(images)
    return own


def side_by_side(choice: Choice) -> tuple[int, list[int]]:
    """Returns the class with the most misclassified images, and some of its images: correct ones, then missed ones."""
    worst = int(np.argmax([kinds[MISSED].count for kinds in choice.galleries]))
    kinds = choice.galleries[worst]
    missed = kinds[MISSED].shown or kinds[LABELS].shown
    return worst, [*kinds[SURE].shown[:_EXAMPLES], *missed[:_EXAMPLES]]


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
