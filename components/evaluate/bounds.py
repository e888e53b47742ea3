"""One-sided 95 % bounds of figures that are no proportions, which hold on few images and few mistakes too."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluate.answers import Answers
from components.evaluate.measure import LESS_IS_BETTER, statistics_of
from components.evaluate.resampling import RESAMPLES, Statistic, Values
from petalflow.model.task import Task
from petalflow.verdict import CONFIDENCE

_SEED = 20_240_301


@dataclass(frozen=True)
class Bounds:
    """What a figure truly is at least, and at most, each wrong at most about 5 % of the time.

    Attributes:
        lower: The lower bound.
        upper: The upper one.
    """

    lower: float
    upper: float


def bounds_of(answers: Answers, figures: Collection[str]) -> dict[str, Bounds]:
    """Returns the bounds of these figures of a model's answers, and perhaps of others.

    Args:
        answers: To every image of a test split.
        figures: Names, as in `Measurement.figures`.
    """
    found: dict[str, Bounds] = {}
    for names, statistic, resamples in statistics_of(_with_one_more(answers, answers, right=False), figures):
        found |= dict(zip(names, _bounds(statistic, answers.images, resamples), strict=True))
    return found


def worsening(candidate: Answers, baseline: Answers, figure: str) -> tuple[float, Bounds]:
    """Returns by how much a figure is worse than the baseline's on the same images, and the bounds of that.

    Args:
        candidate: Its answers, to one image or more.
        baseline: Those of the baseline, to the same images.
        figure: Its name, as in `Measurement.figures`.
    """
    value = _difference(candidate, baseline, figure)(np.ones(candidate.images))
    more = _with_one_more(candidate, candidate, right=False), _with_one_more(baseline, candidate, right=True)
    (bounds,) = _bounds(_difference(*more, figure), candidate.images, RESAMPLES)
    return float(value[0]) + 0.0, bounds  # no -0.0


def _difference(candidate: Answers, baseline: Answers, figure: str) -> Statistic:
    ((names, mine, _),) = statistics_of(candidate, [figure])
    ((_, theirs, _),) = statistics_of(baseline, [figure])
    at, sign = names.index(figure), 1 if figure in LESS_IS_BETTER else -1
    return lambda weights: sign * (mine(weights) - theirs(weights))[at : at + 1]


def _bounds(statistic: Statistic, images: int, resamples: int) -> list[Bounds]:
    """Returns the bounds of figures of so many images and one more, which is as bad as an image may be.

    The Bayesian bootstrap (Rubin 1981, doi:10.1214/aos/1176345338) with the worst case added (Gaffke 2005;
    Learned-Miller and Thomas 2020, arXiv:1905.06208). Of a proportion it is the bound of Clopper and Pearson, since the
    weight of the right answers is Beta distributed. The percentiles of a plain bootstrap know of no mistake that was
    not seen, and let through too much where few were.

    Args:
        statistic: Computes the figures, of n + 1 images.
        images: n.
        resamples: How many.
    """
    generator = np.random.default_rng(_SEED)
    drawn = []
    for _ in range(resamples):
        weights = generator.standard_exponential(images + 1)
        drawn.append(statistic(weights * ((images + 1) / weights.sum())))
    ends = np.quantile(np.stack(drawn), [1 - CONFIDENCE, CONFIDENCE], axis=0)
    return [Bounds(float(lower), float(upper)) for lower, upper in ends.T]


def _with_one_more(answers: Answers, like: Answers, *, right: bool) -> Answers:
    """Returns answers with one more, to an image of the rarest class: where a mistake weighs most.

    It is as sure as the median answer. (As sure as the surest would be safer still, but then a log loss could not be
    judged on less than thousands of images.)

    Args:
        answers: Those that get one more.
        like: Those that decide its class.
        right: Whether it is right; else, it is of the rarest other answer.
    """
    classes, several = answers.truth.shape[1], answers.task is Task.MULTI_LABEL
    images = like.truth.sum(axis=0)
    actual = np.arange(classes) == np.where(images > 0, images, like.images + 1).argmin()
    answered = np.arange(classes) == np.where(actual, like.images + 1, like.given.sum(axis=0)).argmin()
    given = actual if right else ~actual if several else answered
    sure = _median_confidence(answers)
    scores = np.where(given, sure, (1 - sure) / (1 if several else max(classes - 1, 1)))
    return Answers(
        np.vstack([answers.truth, actual]),
        np.vstack([answers.scores, scores]).astype(np.float32),
        np.vstack([answers.given, given]),
        answers.task,
    )


def _median_confidence(answers: Answers) -> float:
    scores: NDArray[np.float32] = answers.scores
    sure: Values = np.maximum(scores, 1 - scores) if answers.task is Task.MULTI_LABEL else scores.max(axis=1)
    return float(np.median(sure))
