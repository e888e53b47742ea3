"""Which images the report shows: of each class the clearest, the hardest, the mistakes, and likely label errors."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluate.report.label_errors import label_errors
from petalflow.metrics.predictions import Answers
from petalflow.model.task import Task

Indices = NDArray[np.int64]

SURE, UNSURE, MISSED, TAKEN, LABELS = "sure", "unsure", "missed", "taken", "labels"
# What is looked for in a report comes first where not everything has room.
_BY_NEED = (LABELS, MISSED, TAKEN, UNSURE, SURE)


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


def rankings(answers: Answers) -> list[dict[str, Indices]]:
    """Returns for each class all images of each kind, the most telling first.

    sure: answered rightly with it, the highest scores first. unsure: of it, the least confident answers first, right or
    wrong. missed: of it, and answered otherwise. taken: of others, and answered with it; both the most confident first.
    labels: likely label errors; of several labels, those that have it and should not, or the other way round.

    Args:
        answers: To the test images.
    """
    if answers.task is Task.MULTI_LABEL:
        return [_of_label(answers, at) for at in range(answers.truth.shape[1])]
    suspects, confidence = label_errors(answers.labels, answers.scores), answers.confidence
    return [
        _ranked(mine, given, score, confidence, suspects[mine[suspects]])
        for mine, given, score in zip(answers.truth.T, answers.given.T, answers.scores.T, strict=True)
    ]


def mistakes(answers: Answers) -> list[tuple[int, int]]:
    """Returns the images answered with a class that they are not of, and that class; the most confident first."""
    scores = np.where(answers.given & ~answers.truth, answers.scores, -1)
    wrong = scores.argmax(axis=1)
    best = scores.max(axis=1, initial=-1)
    return [(int(image), int(wrong[image])) for image in _ordered(best >= 0, -best)]


def choose(answers: Answers, each: int, most: int, first: Sequence[int] = ()) -> Choice:
    """Returns the galleries of each class, and images for each confusion of two classes.

    Args:
        answers: To the test images.
        each: How many images a gallery shows at most.
        most: How many different images there may be in all. Where more are wanted, every gallery is cut to about the
            same length, and the classes that are missed most often come first.
        first: Images that are shown in any case, and count among these.
    """
    found = rankings(answers)
    worst = np.argsort([-_share_missed(ranked) for ranked in found], kind="stable")
    wanted = [found[at][kind][:each] for kind in _BY_NEED for at in worst]
    if answers.task is not Task.MULTI_LABEL:
        wanted += [images[:each] for images in _confusions(answers)]
    chosen = _fitting(wanted, most, first)

    def gallery(images: Indices) -> Gallery:
        return Gallery([image for image in images[:each].tolist() if image in chosen], len(images))

    return Choice([{kind: gallery(images) for kind, images in kinds.items()} for kinds in found], chosen)


def _of_label(answers: Answers, at: int) -> dict[str, Indices]:
    mine, given, score = answers.truth[:, at], answers.given[:, at], answers.scores[:, at]
    suspects = label_errors(mine.astype(np.int64), np.stack([1 - score, score], axis=1))
    return _ranked(mine, given, score, np.where(given, score, 1 - score), suspects)


def _ranked(
    mine: NDArray[np.bool_],
    given: NDArray[np.bool_],
    score: NDArray[np.float32],
    confidence: NDArray[np.float32],
    suspects: Indices,
) -> dict[str, Indices]:
    return {
        SURE: _ordered(mine & given, -score),
        UNSURE: _ordered(mine, confidence),
        MISSED: _ordered(mine & ~given, -confidence),
        TAKEN: _ordered(~mine & given, -score),
        LABELS: suspects,
    }


def _ordered(chosen: NDArray[np.bool_], key: NDArray[np.float32]) -> Indices:
    images = np.flatnonzero(chosen)
    return np.asarray(images[np.argsort(key[images], kind="stable")], np.int64)


def _share_missed(ranked: dict[str, Indices]) -> float:
    return len(ranked[MISSED]) / max(len(ranked[UNSURE]), 1)


def _confusions(answers: Answers) -> Iterator[Indices]:
    """Yields the images of each cell of the confusion matrix off its diagonal, the most confident first."""
    wrong = _ordered(~answers.right, -answers.confidence)
    cells = answers.labels[wrong] * answers.truth.shape[1] + answers.predicted[wrong]
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
