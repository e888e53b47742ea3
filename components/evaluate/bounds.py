"""One-sided 95 % bounds of figures that are no proportions, which hold on few images and few mistakes too."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluate.answers import Answers
from components.evaluate.measure import LESS_IS_BETTER, OVERALL, RANKED, statistics_of
from components.evaluate.resampling import RESAMPLES, Statistic
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

    def __or__(self, other: "Bounds") -> "Bounds":
        """Returns the wider of both, on either side."""
        return Bounds(min(self.lower, other.lower), max(self.upper, other.upper))


def bounds_of(answers: Answers, figures: Collection[str]) -> dict[str, Bounds]:
    """Returns the bounds of figures of a model's answers.

    Args:
        answers: To every image of a test split.
        figures: Their names, as in `Measurement.figures`.
    """
    found: dict[str, Bounds] = {}
    for image, worsened in _worst_images(answers):
        wanted = set(worsened) & set(figures)
        for names, statistic, resamples in statistics_of(image.after(answers), wanted):
            for name, bounds in zip(names, _bounds(statistic, answers.images, resamples), strict=True):
                if name in wanted:
                    found[name] = found.get(name, bounds) | bounds
    return found


def worsening(candidate: Answers, baseline: Answers, figure: str) -> tuple[float, Bounds]:
    """Returns by how much a figure is worse than the baseline's on the same images, and the bounds of that.

    Args:
        candidate: Its answers, to one image or more.
        baseline: Those of the baseline, to the same images.
        figure: Its name, as in `Measurement.figures`; not of `RANKED`.
    """
    value = _difference(candidate, baseline, figure)(np.ones(candidate.images))
    actual, answered = _rarest(candidate)
    mistake = _Image.answered(candidate, actual, answered, _surest(candidate))
    right = _Image.answered(baseline, actual, actual, _surest(baseline))
    difference = _difference(mistake.after(candidate), right.after(baseline), figure)
    (bounds,) = _bounds(difference, candidate.images, RESAMPLES)
    return float(value[0]) + 0.0, bounds  # no -0.0


def _difference(candidate: Answers, baseline: Answers, figure: str) -> Statistic:
    ((names, mine, _),) = statistics_of(candidate, [figure])
    ((_, theirs, _),) = statistics_of(baseline, [figure])
    at, sign = names.index(figure), 1 if figure in LESS_IS_BETTER else -1
    return lambda weights: sign * (mine(weights) - theirs(weights))[at : at + 1]


def _bounds(statistic: Statistic, images: int, resamples: int) -> list[Bounds]:
    """Returns the bounds of figures of so many images and one more, which was not seen and is as bad as one may be.

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


@dataclass(frozen=True)
class _Image:
    """One image that was not seen, and a model's answer to it.

    Attributes:
        truth: Which class it has, [classes].
        scores: What the model gives, [classes].
        given: Which classes it answers with, [classes].
    """

    truth: NDArray[np.bool_]
    scores: NDArray[np.float32]
    given: NDArray[np.bool_]

    @classmethod
    def answered(cls, answers: Answers, actual: int, answer: int, score: float) -> "_Image":
        """Returns one of a class that is answered with this class, or another one, by such a score.

        Of several labels a wrong answer is wrong of each of them.
        """
        classes, several = answers.truth.shape[1], answers.task is Task.MULTI_LABEL
        truth, given = (np.arange(classes) == at for at in (actual, answer))
        if several and actual != answer:
            given = ~truth
        others = (1 - score) / (1 if several else max(classes - 1, 1))
        return cls(truth, np.where(given, score, others).astype(np.float32), given)

    def after(self, answers: Answers) -> Answers:
        """Returns the answers to other images and to this one."""
        return Answers(
            np.vstack([answers.truth, self.truth]),
            np.vstack([answers.scores, self.scores]),
            np.vstack([answers.given, self.given]),
            answers.task,
        )


def _worst_images(answers: Answers) -> Iterator[tuple[_Image, Sequence[str]]]:
    """Yields images that make figures worse, and which figures each is for."""
    actual, answered = _rarest(answers)
    yield _Image.answered(answers, actual, answered, _surest(answers)), OVERALL
    # Of a model that is not sure enough, it is a right answer that makes the calibration worse.
    yield _Image.answered(answers, actual, actual, float(_confidences(answers).min())), ["ece"]
    # Of its own class it is the last one, of the other the first.
    yield _Image.answered(answers, actual, answered, 1.0), RANKED


def _rarest(answers: Answers) -> tuple[int, int]:
    """Returns the class of the fewest images, where a mistake weighs most; and of the others the least often answered.

    Those without images are none of them: no figure counts them.
    """
    images, given = answers.truth.sum(axis=0), answers.given.sum(axis=0)
    known = np.flatnonzero(images)
    actual = int(known[images[known].argmin()])
    others = known[known != actual]
    return actual, int(others[given[others].argmin()]) if len(others) else (actual + 1) % len(images)


def _confidences(answers: Answers) -> NDArray[np.float32]:
    scores = answers.scores
    return np.maximum(scores, 1 - scores) if answers.task is Task.MULTI_LABEL else scores.max(axis=1)


def _surest(answers: Answers) -> float:
    return float(_confidences(answers).max())
