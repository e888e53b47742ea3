"""Areas under the ROC and precision-recall curves, one class against the rest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn import metrics

from petalflow.metrics.predictions import Predictions
from petalflow.metrics.resampling import Values

# With more distinct scores than this, resampling treats neighbours as equal; the areas change by less than 1e-3.
_GROUPS = 2000


@dataclass(frozen=True)
class Ranking:
    """The images in groups of equal score, class by class.

    Attributes:
        groups: Group of each image, ascending with the score, plus the number of groups for the images of the class;
            [classes, n].
        sizes: Number of groups, class by class.
        exact: ROC AUC of each class, PR AUC of each class, and both means, without resampling.
    """

    groups: NDArray[np.int32]
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
        return cls(np.stack(groups).astype(np.int32), tuple(sizes), _with_means(np.array(both).reshape(1, -1, 2))[0])

    def statistic(self, weights: Values) -> Values:
        """Returns the ROC AUC of each class, the PR AUC of each, and both means, [resamples, 2 classes + 2].

        NaN for a class without images, or without images of others. The ROC AUC is the Mann-Whitney statistic, in which
        ties count half; the PR AUC is the average precision as defined by scikit-learn.

        Args:
            weights: Weights of the images, [resamples, n].
        """
        by_image = np.ascontiguousarray(weights.T)
        # Each image is in one group: every column has a single 1.
        images = len(by_image)
        ones, starts = np.ones(images), np.arange(images + 1, dtype=np.int32)
        areas = [
            _grouped_areas((sparse.csc_array((ones, group, starts), shape=(2 * size, images)) @ by_image), size)
            for group, size in zip(self.groups, self.sizes, strict=True)
        ]
        found = _with_means(np.stack(areas, axis=1))
        found[(weights == 1).all(axis=1)] = self.exact
        return found


def _grouped(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    _, ranks = np.unique(scores, return_inverse=True)
    most = int(ranks.max(initial=0)) + 1
    if most <= _GROUPS:
        return np.asarray(ranks, np.int64)
    order = np.empty(len(scores), np.int64)
    order[np.argsort(scores, kind="stable")] = np.arange(len(scores))
    # Equal scores stay together, in the group of the first of them.
    first = np.full(most, len(scores), np.int64)
    np.minimum.at(first, ranks, order)
    return np.unique(first[ranks] * _GROUPS // len(scores), return_inverse=True)[1]


def _areas(labels: NDArray[np.bool_], scores: NDArray[np.float32]) -> tuple[float, float]:
    if not labels.any() or labels.all():
        return float("nan"), float("nan")
    return float(metrics.roc_auc_score(labels, scores)), float(metrics.average_precision_score(labels, scores))


def _grouped_areas(weights: Values, size: int) -> Values:
    """Returns ROC AUC and PR AUC of one class, [resamples, 2].

    Args:
        weights: Weight of each group of the other classes' images, then of this class's, [2 size, resamples].
        size: Number of groups.
    """
    negatives, positives = weights[:size], weights[size:]
    all_negatives, all_positives = negatives.sum(axis=0), positives.sum(axis=0)
    below = np.cumsum(negatives, axis=0) - negatives
    hits, above = np.cumsum(positives[::-1], axis=0), np.cumsum((positives + negatives)[::-1], axis=0)
    precision = np.divide(hits, above, out=np.zeros_like(hits), where=above > 0)
    roc = (positives * (below + negatives / 2)).sum(axis=0)
    pr = (precision * positives[::-1]).sum(axis=0)
    defined = (all_negatives > 0) & (all_positives > 0)
    both = np.stack([roc, pr], axis=1)
    pairs = np.stack([all_positives * all_negatives, all_positives], axis=1)
    return np.asarray(np.divide(both, pairs, out=np.full_like(both, np.nan), where=defined[:, None]))


def _with_means(areas: Values) -> Values:
    """Returns ROC AUC and PR AUC of each class, and their means over the classes that have one.

    Args:
        areas: ROC AUC and PR AUC, [resamples, classes, 2].
    """
    defined = np.isfinite(areas)
    sums, counts = np.where(defined, areas, 0).sum(axis=1), defined.sum(axis=1)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return np.concatenate([areas[..., 0], areas[..., 1], means], axis=1)
