"""Calibration: how well scores match the share of correct predictions, and the temperature that improves them."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from petalflow.metrics.predictions import Predictions
from petalflow.model.task import Task, apply_temperature

Scores = NDArray[np.float32]

BINS = 15
# 95 % quantile of the likelihood-ratio statistic with one parameter; a smaller gain may be chance.
_LIKELIHOOD_RATIO = 3.84
_FEWEST_MISTAKES = 10
_COLDEST, _HOTTEST = 0.05, 20.0
_SMALLEST = 1e-12


def find_temperature(labels: NDArray[np.bool_], scores: Scores, task: Task) -> float:
    """Returns the temperature to divide logits by; 1 if the likelihood does not improve significantly.

    Temperature scaling (Guo et al. 2017, arXiv:1706.04599) by maximum likelihood, on images outside the test split. A
    few mistakes can show that a model is overconfident, but not that it is underconfident.

    Args:
        labels: The classes of each image, [n, classes].
        scores: Probabilities, [n, classes].
        task: The task, which decides how the temperature is applied.
    """
    from scipy import optimize

    mistakes = int((~Predictions.of(labels, scores, task).correct).sum())
    if not mistakes:
        return 1.0

    def loss(logarithm: float) -> float:
        return float(log_losses(labels, apply_temperature(scores, float(np.exp(logarithm)), task), task).sum())

    found = optimize.minimize_scalar(loss, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded")
    gain = 2 * (loss(0.0) - float(found.fun))
    if gain <= _LIKELIHOOD_RATIO or (found.x < 0 and mistakes < _FEWEST_MISTAKES):
        return 1.0
    return round(float(np.exp(found.x)), 4)


def log_losses(labels: NDArray[np.bool_], scores: Scores, task: Task) -> NDArray[np.float64]:
    """Returns the log loss of each image in nats, [n]; with several labels, the mean over them."""
    likely = np.where(labels, scores, 1 - scores).clip(_SMALLEST, None).astype(np.float64)
    if task is Task.MULTI_LABEL:
        return np.asarray(-np.log(likely).mean(axis=1))
    return np.asarray(-np.log(likely[labels]))


@dataclass(frozen=True)
class Reliability:
    """The share of correct predictions by confidence, in bins of equal width.

    Attributes:
        confidence: Confidence of each prediction, [n], or [n, labels] with several labels per image; 0..1.
        correct: True where it is correct, of the same shape.
    """

    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]

    def error(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the expected calibration error, 0..1 (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602).

        Args:
            weights: Weights of the images, [resamples, n].

        Returns:
            The error in each resample, [resamples]; NaN where all weights are 0.
        """
        predictions_per_image = self.correct.size // max(len(self.correct), 1)
        error = np.abs(self._excess @ weights.T).sum(axis=0)
        total = weights.sum(axis=1) * predictions_per_image
        return np.asarray(np.divide(error, total, out=np.full_like(error, np.nan), where=total > 0))

    def to_json(self) -> list[dict[str, Any]]:
        """Returns each bin that is not empty: number of predictions, mean confidence, number correct."""
        bins = self._bins
        rows = []
        for index in np.unique(bins):
            inside = bins == index
            rows.append(
                {
                    "answers": int(inside.sum()),
                    "confidence": float(self.confidence[inside].mean()),
                    "right": int(self.correct[inside].sum()),
                }
            )
        return rows

    @functools.cached_property
    def _bins(self) -> NDArray[np.int64]:
        return np.minimum((self.confidence * BINS).astype(np.int64), BINS - 1)

    @functools.cached_property
    def _excess(self) -> sparse.csr_array:
        """By how much the predictions of an image in a bin are correct more often than they claim, [BINS, n]."""
        images = np.indices(self.correct.shape)[0]
        excess = (self.correct - self.confidence).ravel()
        return sparse.csr_array((excess, (self._bins.ravel(), images.ravel())), shape=(BINS, len(self.correct)))
