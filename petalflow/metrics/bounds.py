"""One-sided 95 % bounds of figures that are no proportions, which hold on few images and few mistakes too."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from petalflow.metrics.intervals import CONFIDENCE
from petalflow.metrics.metrics import LESS_IS_BETTER, OVERALL, RANKED, metric_statistics
from petalflow.metrics.predictions import Predictions
from petalflow.metrics.resampling import RESAMPLES, Statistic, Values, block_sizes
from petalflow.model.task import Task

_SEED = 20_240_301


def compute_bounds(predictions: Predictions, figures: Collection[str]) -> dict[str, float]:
    """Returns what figures of a model truly are at least, or of `LESS_IS_BETTER` at most: wrong about 5 % of the time.

    Args:
        predictions: To every image of a test split.
        figures: Their names, as in `Metrics.overall`.
    """
    found: dict[str, float] = {}
    for unseen, worsened in _worst_images(predictions):
        wanted, more = set(worsened) & set(figures), _with(predictions, unseen)
        for names, statistic, resamples in metric_statistics(more, wanted):
            least, most = _bounds(statistic, more.images, resamples)
            for at, name in enumerate(names):
                if name in wanted:
                    bound, worse = (most[at], max) if name in LESS_IS_BETTER else (least[at], min)
                    found[name] = worse(found.get(name, float(bound)), float(bound))
    return found


def compute_worsening(candidate: Predictions, baseline: Predictions, figure: str) -> tuple[float, float]:
    """Returns by how much a figure is worse than the baseline's on the same images, and how much that is at most.

    Args:
        candidate: Its predictions, to one image or more.
        baseline: Those of the baseline, to the same images.
        figure: Its name, as in `Metrics.overall`; not of `RANKED`.
    """
    value = _difference(candidate, baseline, figure)(np.ones((1, candidate.images)))[0]
    actual, answered = _rarest(candidate)
    mistake = _Image.answered(candidate, actual, answered, _surest(candidate))
    right = _Image.answered(baseline, actual, actual, _surest(baseline))
    difference = _difference(_with(candidate, [mistake]), _with(baseline, [right]), figure)
    _, most = _bounds(difference, candidate.images + 1, RESAMPLES)
    return float(value[0]) + 0.0, float(most[0])  # no -0.0


def _difference(candidate: Predictions, baseline: Predictions, figure: str) -> Statistic:
    ((names, of_candidate, _),) = metric_statistics(candidate, [figure])
    ((_, of_baseline, _),) = metric_statistics(baseline, [figure])
    at, sign = names.index(figure), 1 if figure in LESS_IS_BETTER else -1
    return lambda weights: sign * (of_candidate(weights) - of_baseline(weights))[:, at : at + 1]


def _bounds(statistic: Statistic, images: int, resamples: int) -> Values:
    """Returns the bounds of figures of images of which some were not seen, and are as bad as they may be: [2, figures].

    The Bayesian bootstrap (Rubin 1981, doi:10.1214/aos/1176345338) with the worst case added (Gaffke 2005;
    Learned-Miller and Thomas 2020, arXiv:1905.06208). Of a proportion it is the bound of Clopper and Pearson, since the
    weight of the correct predictions is Beta distributed. The percentiles of a plain bootstrap ignore mistakes that
    were not seen, and let through too much where few were.

    Args:
        statistic: Computes the figures.
        images: Of how many.
        resamples: How many.
    """
    generator = np.random.default_rng(_SEED)
    drawn = []
    for rows in block_sizes(resamples, images):
        weights = generator.standard_exponential((rows, images))
        drawn.append(statistic(weights * (images / weights.sum(axis=1, keepdims=True))))
    return np.asarray(np.quantile(np.concatenate(drawn), [1 - CONFIDENCE, CONFIDENCE], axis=0))


@dataclass(frozen=True)
class _Image:
    """One image that was not seen, and a model's answer to it.

    Attributes:
        labels: The class it has, [classes].
        scores: What the model gives, [classes].
        predicted: The classes predicted, [classes].
    """

    labels: NDArray[np.bool_]
    scores: NDArray[np.float32]
    predicted: NDArray[np.bool_]

    @classmethod
    def answered(cls, predictions: Predictions, actual: int, answer: int, score: float) -> "_Image":
        """Returns one of a class that is answered with this class, or another one, by such a score.

        Of several labels a wrong answer is wrong of each of them.
        """
        classes, several = predictions.labels.shape[1], predictions.task is Task.MULTI_LABEL
        labels, predicted = (np.arange(classes) == at for at in (actual, answer))
        if several and actual != answer:
            predicted = ~labels
        others = (1 - score) / (1 if several else max(classes - 1, 1))
        return cls(labels, np.where(predicted, score, others).astype(np.float32), predicted)


def _with(predictions: Predictions, unseen: Sequence[_Image]) -> Predictions:
    """Returns the predictions to these images and to those that were not seen."""
    return Predictions(
        np.vstack([predictions.labels, *(image.labels for image in unseen)]),
        np.vstack([predictions.scores, *(image.scores for image in unseen)]),
        np.vstack([predictions.predicted, *(image.predicted for image in unseen)]),
        predictions.task,
    )


def _worst_images(predictions: Predictions) -> Iterator[tuple[Sequence[_Image], Sequence[str]]]:
    """Yields images that make figures worse, and which figures these are for."""
    actual, answered = _rarest(predictions)
    yield [_Image.answered(predictions, actual, answered, _surest(predictions))], OVERALL
    # Of a model that is not sure enough, it is a right answer that makes the calibration worse.
    yield [_Image.answered(predictions, actual, actual, float(_confidences(predictions).min()))], ["ece"]
    yield _last_of_each(predictions), RANKED


def _last_of_each(predictions: Predictions) -> list[_Image]:
    """Returns an image of each class that is ranked last of its own, and first of the next.

    Ranks are a sample of their own in each class, and those of few images are flattering, so that one image in all
    would not do.
    """
    each = np.eye(predictions.labels.shape[1], dtype=bool)
    known = np.flatnonzero(predictions.labels.any(axis=0)).tolist()
    others = [*known[1:], *known[:1]] if len(known) > 1 else [_rarest(predictions)[1]]
    return [_Image(each[at], each[to].astype(np.float32), each[to]) for at, to in zip(known, others, strict=True)]


def _rarest(predictions: Predictions) -> tuple[int, int]:
    """Returns the class of the fewest images, where a mistake weighs most; and of the others the least often answered.

    Those without images are none of them: no figure counts them.
    """
    images, predicted = predictions.labels.sum(axis=0), predictions.predicted.sum(axis=0)
    known = np.flatnonzero(images)
    actual = int(known[images[known].argmin()])
    others = known[known != actual]
    return actual, int(others[predicted[others].argmin()]) if len(others) else (actual + 1) % len(images)


def _confidences(predictions: Predictions) -> NDArray[np.float32]:
    scores = predictions.scores
    return np.maximum(scores, 1 - scores) if predictions.task is Task.MULTI_LABEL else scores.max(axis=1)


def _surest(predictions: Predictions) -> float:
    return float(_confidences(predictions).max())
