"""One-sided 95 % bounds of metrics that are not proportions, valid even with few images and few mistakes."""

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


def compute_bounds(predictions: Predictions, metrics: Collection[str]) -> dict[str, float]:
    """Returns lower bounds of metrics, or upper bounds of those in `LESS_IS_BETTER`, which hold 95 % of the time.

    Args:
        predictions: Predictions for every image of a test split.
        metrics: Names of metrics, as in `Metrics.overall`.
    """
    found: dict[str, float] = {}
    for unseen, worsened in _worst_images(predictions):
        wanted, more = set(worsened) & set(metrics), _add_images(predictions, unseen)
        for names, statistic, resamples in metric_statistics(more, wanted):
            least, most = _bounds(statistic, more.images, resamples)
            for at, name in enumerate(names):
                if name in wanted:
                    bound, worse = (most[at], max) if name in LESS_IS_BETTER else (least[at], min)
                    found[name] = worse(found.get(name, float(bound)), float(bound))
    return found


def compute_worsening(candidate: Predictions, baseline: Predictions, metric: str) -> tuple[float, float]:
    """Returns by how much a metric is worse than the baseline's on the same images, and the upper bound of that.

    Args:
        candidate: The candidate's predictions, for at least one image.
        baseline: The baseline's, for the same images.
        metric: Name of the metric, as in `Metrics.overall`; not in `RANKED`.
    """
    value = _difference(candidate, baseline, metric)(np.ones((1, candidate.images)))[0]
    actual, mistaken = _costliest_mistake(candidate)
    wrong = _Image.predicted_as(candidate, actual, mistaken, _top_confidence(candidate))
    correct = _Image.predicted_as(baseline, actual, actual, _top_confidence(baseline))
    difference = _difference(_add_images(candidate, [wrong]), _add_images(baseline, [correct]), metric)
    _, most = _bounds(difference, candidate.images + 1, RESAMPLES)
    return float(value[0]) + 0.0, float(most[0])  # no -0.0


def _difference(candidate: Predictions, baseline: Predictions, metric: str) -> Statistic:
    ((names, of_candidate, _),) = metric_statistics(candidate, [metric])
    ((_, of_baseline, _),) = metric_statistics(baseline, [metric])
    at, sign = names.index(metric), 1 if metric in LESS_IS_BETTER else -1
    return lambda weights: sign * (of_candidate(weights) - of_baseline(weights))[:, at : at + 1]


def _bounds(statistic: Statistic, images: int, resamples: int) -> Values:
    """Returns lower and upper bounds of metrics, [2, metrics], of images that include the worst unseen ones.

    The Bayesian bootstrap (Rubin 1981, doi:10.1214/aos/1176345338) with the worst case added (Gaffke 2005;
    Learned-Miller and Thomas 2020, arXiv:1905.06208). For a proportion this is the Clopper-Pearson bound, since
    the weight of the correct predictions is Beta distributed. The percentiles of a plain bootstrap ignore mistakes that
    were not seen, and accept too many models where few were.

    Args:
        statistic: Computes the metrics.
        images: Number of images.
        resamples: Number of resamples.
    """
    generator = np.random.default_rng(_SEED)
    drawn = []
    for rows in block_sizes(resamples, images):
        weights = generator.standard_exponential((rows, images))
        drawn.append(statistic(weights * (images / weights.sum(axis=1, keepdims=True))))
    return np.asarray(np.quantile(np.concatenate(drawn), [1 - CONFIDENCE, CONFIDENCE], axis=0))


@dataclass(frozen=True)
class _Image:
    """An image that was not seen, and a model's prediction for it.

    Attributes:
        labels: The class it has, [classes].
        scores: The model's scores, [classes].
        predicted: The classes predicted, [classes].
    """

    labels: NDArray[np.bool_]
    scores: NDArray[np.float32]
    predicted: NDArray[np.bool_]

    @classmethod
    def predicted_as(cls, predictions: Predictions, actual: int, chosen: int, score: float) -> "_Image":
        """Returns an image of class `actual` that is predicted as class `chosen`, with this top score.

        With several labels, a wrong prediction is wrong for each of them.
        """
        classes, several = predictions.labels.shape[1], predictions.task is Task.MULTI_LABEL
        labels, predicted = (np.arange(classes) == at for at in (actual, chosen))
        if several and actual != chosen:
            predicted = ~labels
        others = (1 - score) / (1 if several else max(classes - 1, 1))
        return cls(labels, np.where(predicted, score, others).astype(np.float32), predicted)


def _add_images(predictions: Predictions, unseen: Sequence[_Image]) -> Predictions:
    """Returns the predictions for these images and for the unseen ones."""
    return Predictions(
        np.vstack([predictions.labels, *(image.labels for image in unseen)]),
        np.vstack([predictions.scores, *(image.scores for image in unseen)]),
        np.vstack([predictions.predicted, *(image.predicted for image in unseen)]),
        predictions.task,
    )


def _worst_images(predictions: Predictions) -> Iterator[tuple[Sequence[_Image], Sequence[str]]]:
    """Yields the images that make metrics worse, and the names of these metrics."""
    actual, mistaken = _costliest_mistake(predictions)
    yield [_Image.predicted_as(predictions, actual, mistaken, _top_confidence(predictions))], OVERALL
    # If a model is underconfident, a correct prediction makes the calibration worse.
    yield [_Image.predicted_as(predictions, actual, actual, float(_confidences(predictions).min()))], ["ece"]
    yield _misranked_images(predictions), RANKED


def _misranked_images(predictions: Predictions) -> list[_Image]:
    """Returns an image of each class that is ranked last in its own class, and first in the next.

    The ranks within each class are a separate sample, which is too optimistic if the class has few images, so one image
    for all classes is not enough.
    """
    each = np.eye(predictions.labels.shape[1], dtype=bool)
    known = np.flatnonzero(predictions.labels.any(axis=0)).tolist()
    others = [*known[1:], *known[:1]] if len(known) > 1 else [_costliest_mistake(predictions)[1]]
    return [_Image(each[at], each[to].astype(np.float32), each[to]) for at, to in zip(known, others, strict=True)]


def _costliest_mistake(predictions: Predictions) -> tuple[int, int]:
    """Returns the class with the fewest images, where a mistake weighs most, and the other class predicted least often.

    Classes without images are ignored, as no metric counts them.
    """
    images, predicted = predictions.labels.sum(axis=0), predictions.predicted.sum(axis=0)
    known = np.flatnonzero(images)
    actual = int(known[images[known].argmin()])
    others = known[known != actual]
    return actual, int(others[predicted[others].argmin()]) if len(others) else (actual + 1) % len(images)


def _confidences(predictions: Predictions) -> NDArray[np.float32]:
    scores = predictions.scores
    return np.maximum(scores, 1 - scores) if predictions.task is Task.MULTI_LABEL else scores.max(axis=1)


def _top_confidence(predictions: Predictions) -> float:
    return float(_confidences(predictions).max())
