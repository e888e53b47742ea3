"""The metrics of a model's predictions, each with its 95 % interval. No TensorFlow here."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import confusion_matrix

from petalflow.metrics.calibration import Reliability, log_losses
from petalflow.metrics.intervals import wilson_interval
from petalflow.metrics.predictions import Predictions
from petalflow.metrics.ranking import Ranking
from petalflow.metrics.resampling import RESAMPLES, Interval, Statistic, Values, bootstrap
from petalflow.model.task import Task

# Metrics over all classes.
OVERALL = (
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "weighted_precision",
    "weighted_f1",
    "log_loss",
    "brier",
    "ece",
)
RANKED = ("roc_auc", "pr_auc")
LESS_IS_BETTER = frozenset({"log_loss", "brier", "ece"})
# Additions that resampling the ranks may take; with many images and classes there are fewer resamples.
_MOST_ADDITIONS = 2_000_000_000
_FEWEST_RESAMPLES = 100


@dataclass(frozen=True)
class Proportion:
    """A proportion with its two-sided 95 % interval (Wilson).

    Attributes:
        successes: 0..trials.
        trials: Number of trials.
    """

    successes: int
    trials: int

    @property
    def value(self) -> float | None:
        """The proportion, or None without trials."""
        return self.successes / self.trials if self.trials else None

    def to_json(self) -> dict[str, Any]:
        """Returns value, interval and counts."""
        low, high = wilson_interval(self.successes, self.trials)
        return {"value": self.value, "low": low, "high": high, "successes": self.successes, "trials": self.trials}


@dataclass(frozen=True)
class Metrics:
    """Metrics of one model on a test split.

    Attributes:
        proportions: Name -> "accuracy", "top_k_accuracy": shares of images.
        recalls: Class -> share of its images that are predicted as it.
        precisions: Class -> share of its predictions that are correct.
        overall: Name -> other metrics over all images: `OVERALL`, and `RANKED`, which are means over the classes.
        by_class: "f1", "roc_auc", "pr_auc" -> class -> its metric.
        confusion: Counts [label, predicted]; None if an image may have several classes.
        reliability: Reliability of the predictions, in bins.
    """

    proportions: dict[str, Proportion]
    recalls: dict[str, Proportion]
    precisions: dict[str, Proportion]
    overall: dict[str, Interval]
    by_class: dict[str, dict[str, Interval]]
    confusion: NDArray[np.int64] | None
    reliability: list[dict[str, Any]]

    @property
    def accuracy(self) -> Proportion:
        """Share of images that are classified correctly."""
        return self.proportions["accuracy"]

    def to_json(self) -> dict[str, Any]:
        """Returns the content of metrics.json; its keys are those that earlier versions wrote."""
        proportions = {"proportions": self.proportions, "recalls": self.recalls, "precisions": self.precisions}
        return {
            **{key: {name: value.to_json() for name, value in values.items()} for key, values in proportions.items()},
            "figures": {name: asdict(interval) for name, interval in self.overall.items()},
            "of_classes": {
                metric: {name: asdict(interval) for name, interval in intervals.items()}
                for metric, intervals in self.by_class.items()
            },
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "reliability": self.reliability,
        }


def compute_metrics(
    predictions: Predictions, classes: Sequence[str], top_k: int = 3, resamples: int = RESAMPLES
) -> Metrics:
    """Returns the metrics of a model's predictions.

    Args:
        predictions: Predictions for every image of a test split.
        classes: Names of the classes.
        top_k: Number of top scores among which the class is looked for.
        resamples: Number of resamples for the intervals.
    """
    hits = (predictions.labels & predictions.predicted).sum(axis=0)
    images, predicted = predictions.labels.sum(axis=0), predictions.predicted.sum(axis=0)
    resampled = bootstrap(_overall_and_f1(predictions), predictions.strata, resamples)
    overall = dict(zip(OVERALL, resampled, strict=False))
    by_class = {"f1": resampled[len(OVERALL) :]}
    ranks = bootstrap(Ranking.of(predictions).statistic, predictions.strata, _ranking_resamples(predictions, resamples))
    by_class["roc_auc"], by_class["pr_auc"] = ranks[: len(classes)], ranks[len(classes) : -2]
    overall |= dict(zip(RANKED, ranks[-2:], strict=True))
    return Metrics(
        proportions=_proportions(predictions, top_k),
        recalls=_by_class(classes, hits, images),
        precisions=_by_class(classes, hits, predicted),
        overall=overall,
        by_class={metric: dict(zip(classes, values, strict=True)) for metric, values in by_class.items()},
        confusion=_confusion(predictions, len(classes)),
        reliability=reliability(predictions).to_json(),
    )


def metric_statistics(
    predictions: Predictions, names: Collection[str], resamples: int = RESAMPLES
) -> Iterator[tuple[Sequence[str], Statistic, int]]:
    """Yields the statistics that compute these metrics: names, the statistic, number of resamples.

    Args:
        predictions: Predictions for every image of a test split.
        names: Names from `OVERALL` and `RANKED`; each statistic computes all of its group.
        resamples: Maximum number of resamples.
    """
    if not set(names).isdisjoint(OVERALL):
        overall = _overall_and_f1(predictions)
        yield OVERALL, lambda weights: overall(weights)[:, : len(OVERALL)], resamples
    if not set(names).isdisjoint(RANKED):
        ranking = Ranking.of(predictions)
        yield RANKED, lambda weights: ranking.statistic(weights)[:, -2:], _ranking_resamples(predictions, resamples)


def _ranking_resamples(predictions: Predictions, most: int) -> int:
    additions = max(predictions.labels.size, 1)
    return int(np.clip(_MOST_ADDITIONS // additions, min(_FEWEST_RESAMPLES, most), most))


def _overall_and_f1(predictions: Predictions) -> Statistic:
    """Returns the statistic that computes `OVERALL`, then the F1 of each class."""
    losses = log_losses(predictions.labels, predictions.scores, predictions.task)
    # Brier 1950, over all classes: 0 is best; 2 is worst with one class per image.
    brier = ((predictions.scores - predictions.labels) ** 2).sum(axis=1).astype(np.float64)
    if predictions.task is Task.MULTI_LABEL:
        brier = brier / predictions.labels.shape[1]
    calibration, counts = reliability(predictions), _ClassCounts(predictions)
    known = predictions.labels.any(axis=0)  # a class without images has no metrics

    def statistic(weights: Values) -> Values:
        precision, recall, f1, images = counts.rates(weights)
        total = weights.sum(axis=1)
        shares = images / images.sum(axis=1, keepdims=True)
        macro = [rates[:, known].mean(axis=1) for rates in (precision, recall, f1)]
        weighted = [(rates * shares).sum(axis=1) for rates in (precision, f1)]
        of_scores = [weights @ losses / total, weights @ brier / total, calibration.error(weights)]
        return np.column_stack([*macro, *weighted, *of_scores, np.where(known, f1, np.nan)])

    return statistic


def reliability(predictions: Predictions) -> Reliability:
    """Returns how confident predictions are, and whether they are correct; of several labels, each of them."""
    if predictions.task is Task.MULTI_LABEL:
        sure = np.where(predictions.predicted, predictions.scores, 1 - predictions.scores).astype(np.float64)
        return Reliability(sure, predictions.labels == predictions.predicted)
    return Reliability(predictions.confidence.astype(np.float64), predictions.correct)


class _ClassCounts:
    """Weighted counts of each class's images, predictions and hits."""

    def __init__(self, predictions: Predictions) -> None:
        counted = (predictions.labels & predictions.predicted, predictions.predicted, predictions.labels)
        # Sparse, as an image is in few of many classes: [3 classes, n].
        self._counted = sparse.csr_array(np.concatenate(counted, axis=1).T, dtype=np.float64)

    def rates(self, weights: Values) -> tuple[Values, Values, Values, Values]:
        """Returns precision, recall, F1 and images of each class, [resamples, classes]; 0 without predictions."""
        hits, predicted, images = np.split((self._counted @ weights.T).T, 3, axis=1)
        return _share(hits, predicted), _share(hits, images), _share(2 * hits, predicted + images), images


def _share(part: Values, whole: Values) -> Values:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _proportions(predictions: Predictions, top_k: int) -> dict[str, Proportion]:
    found = {"accuracy": Proportion(int(predictions.correct.sum()), predictions.images)}
    if predictions.task is Task.MULTI_CLASS and predictions.labels.shape[1] > top_k:
        # Equal scores all count as better, so that the order of the classes does not matter.
        ranks = (predictions.scores >= predictions.scores[predictions.labels][:, None]).sum(axis=1)
        found["top_k_accuracy"] = Proportion(int((ranks <= top_k).sum()), predictions.images)
    return found


def _by_class(classes: Sequence[str], successes: NDArray[np.int64], trials: NDArray[np.int64]) -> dict[str, Proportion]:
    return {name: Proportion(int(successes[at]), int(trials[at])) for at, name in enumerate(classes)}


def _confusion(predictions: Predictions, classes: int) -> NDArray[np.int64] | None:
    if predictions.task is Task.MULTI_LABEL:
        return None
    return np.asarray(
        confusion_matrix(predictions.label_indices, predictions.predicted_indices, labels=range(classes)), np.int64
    )
