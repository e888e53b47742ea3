"""The stratified bootstrap: what a figure might have been on other test images of the same classes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from petalflow.metrics.intervals import CONFIDENCE

Values = NDArray[np.float64]
# Weights of the images [n], which add up to n -> figures [f]; those that are not defined are NaN.
Statistic = Callable[[Values], Values]

RESAMPLES = 1000
_SPREAD = 1e-9  # less is of rounding
_SEED = 20_240_229


@dataclass(frozen=True)
class Interval:
    """What the resamples say of one figure.

    Attributes:
        value: On the test images as they are; None where it is not defined.
        low: Lower end of the two-sided 95 % interval; None where the resamples are all the same, as when no answer is
            wrong: they do not say what was not seen.
        high: Its upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def resamples(strata: NDArray[np.int64], count: int = RESAMPLES, seed: int = _SEED) -> Iterator[Values]:
    """Yields how often each image is drawn, [n], when as many are drawn with replacement from each stratum as it has.

    Args:
        strata: The stratum of each image, [n]: its class, so that no class is missing from a resample.
        count: How many resamples.
        seed: The same gives the same.
    """
    order = np.argsort(strata, kind="stable")
    _, starts, sizes = np.unique(strata[order], return_index=True, return_counts=True)
    first, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    generator = np.random.default_rng(seed)
    for _ in range(count):
        drawn = order[first + (generator.random(len(strata)) * size).astype(np.int64)]
        yield np.bincount(drawn, minlength=len(strata)).astype(np.float64)


def bootstrap(statistic: Statistic, strata: NDArray[np.int64], count: int = RESAMPLES) -> list[Interval]:
    """Returns the percentile intervals of figures (Efron 1979, doi:10.1214/aos/1176344552).

    A resample in which a figure is not defined says nothing of that figure.

    Args:
        statistic: Computes them.
        strata: The stratum of each image, [n].
        count: How many resamples.
    """
    values = statistic(np.ones(len(strata)))
    if not len(strata):
        return [Interval(None) for _ in values]
    drawn = np.stack([statistic(weights) for weights in resamples(strata, count)])
    return [_interval(value, of_one) for value, of_one in zip(values, drawn.T, strict=True)]


def _interval(value: float, drawn: Values) -> Interval:
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(drawn):
        return Interval(None)
    # Resamples repeat images, which biases some figures (a calibration error grows): no end is beyond the value.
    if np.ptp(drawn) < _SPREAD:
        return Interval(float(value))
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(value), float(min(low, value)), float(max(high, value)))
