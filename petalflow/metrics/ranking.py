"""How well scores rank the images of a class above the others: areas under the curves, one class against the rest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from petalflow.metrics.predictions import Predictions
from petalflow.metrics.resampling import Values

# Of more different scores than this, neighbours are taken for equal when resampled: the areas move by less than 1e-3.
_GROUPS = 2000


@dataclass(frozen=True)
class Ranking:
    """The images of each class, and of the others, in groups of equal score.

    Attributes:
        groups: Class by class, the group of each image, ascending with the score; plus the number of all groups
            for the images of the class, [classes, n].
        sizes: How many groups there are, class by class.
        exact: ROC AUC of each class, PR AUC of each, and the means of both, of the images as they are.
    """

    groups: NDArray[np.int64]
    sizes: tuple[int, ...]
    exact: Values

    @classmethod
    def of(cls, predictions: Predictions) -> "Ranking":
        """Returns the ranking by a model's scores."""
        groups, sizes = [], []
        for labels, scores in zip(predictions.labels.T, predictions.scores.T, strict=True):
            group = _grouped(scores)
            size = int(group.max(initial=0)) + 1
            groups.append(group + size * labels)
            sizes.append(size)
        both = [
            _areas(labels, scores) for labels, scores in zip(predictions.labels.T, predictions.scores.T, strict=True)
        ]
        return cls(np.stack(groups), tuple(sizes), _with_means(np.array(both).reshape(-1, 2)))

    def statistic(self, weights: Values) -> Values:
        """Returns ROC AUC of each class, PR AUC of each, and the mean of each over the classes, [2 classes + 2].

        A class without images, or without others, has none: NaN. The ROC AUC is Mann and Whitney's statistic, ties
        counting half; the PR AUC the average precision, as scikit-learn defines it.

        Args:
            weights: Of the images, [n].
        """
        if (weights == 1).all():
            return self.exact
        both = [
            _areas_of_groups(np.asarray(np.bincount(group, weights, 2 * size), np.float64).reshape(2, size))
            for group, size in zip(self.groups, self.sizes, strict=True)
        ]
        return _with_means(np.array(both).reshape(-1, 2))


def _grouped(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    _, ranks = np.unique(scores, return_inverse=True)
    most = int(ranks.max(initial=0)) + 1
    if most <= _GROUPS:
        return np.asarray(ranks, np.int64)
    order = np.empty(len(scores), np.int64)
    order[np.argsort(scores, kind="stable")] = np.arange(len(scores))
    # Equal scores stay together: each gets the group of the first of them.
    first = np.full(most, len(scores), np.int64)
    np.minimum.at(first, ranks, order)
    return np.unique(first[ranks] * _GROUPS // len(scores), return_inverse=True)[1]


def _areas(labels: NDArray[np.bool_], scores: NDArray[np.float32]) -> tuple[float, float]:
    if not labels.any() or labels.all():
        return float("nan"), float("nan")
    return float(metrics.roc_auc_score(labels, scores)), float(metrics.average_precision_score(labels, scores))


def _areas_of_groups(weights: Values) -> tuple[float, float]:
    negatives, positives = weights
    if not negatives.sum() or not positives.sum():
        return float("nan"), float("nan")
    below = np.cumsum(negatives) - negatives
    roc = (positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum())
    hits, above = np.cumsum(positives[::-1]), np.cumsum((positives + negatives)[::-1])
    precision = np.divide(hits, above, out=np.zeros_like(hits), where=above > 0)
    return float(roc), float((precision * positives[::-1]).sum() / positives.sum())


def _with_means(both: Values) -> Values:
    roc, pr = both.T
    means = [float(np.nanmean(areas)) if np.isfinite(areas).any() else float("nan") for areas in (roc, pr)]
    return np.concatenate([roc, pr, means])
