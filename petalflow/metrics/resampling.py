"""The stratified bootstrap: how a metric varies over test sets of the same classes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from petalflow.metrics.intervals import CONFIDENCE

Values = NDArray[np.float64]
# Weights of the images, [resamples, n], which add up to n in each resample -> metrics, [resamples, m]; NaN if
# undefined.
Statistic = Callable[[Values], Values]

RESAMPLES = 1000
BLOCK_WEIGHTS = 1 << 16  # weights computed at a time: results of 512 KiB stay in a CPU's caches
_SPREAD = 1e-9  # a smaller spread is rounding
_SEED = 20_240_229


@dataclass(frozen=True)
class Interval:
    """A metric and its interval.

    Attributes:
        value: The metric on the test images; None if undefined.
        low: Lower end of the two-sided 95 % interval; None if all resamples agree, as without a single mistake, since
            resamples cannot show a mistake that was never seen.
        high: Upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def block_sizes(count: int, images: int) -> Iterator[int]:
    """Yields how many resamples to compute at a time, so that the weights of many images fit in memory."""
    most = max(1, BLOCK_WEIGHTS // max(images, 1))
    for start in range(0, count, most):
        yield min(most, count - start)


def resamples(strata: NDArray[np.int64], count: int = RESAMPLES, seed: int = _SEED) -> Iterator[Values]:
    """Yields how often each image is drawn, in blocks [resamples, n]; each stratum keeps its number of images.

    Args:
        strata: The stratum of each image, [n]: its class, so that no resample lacks a class.
        count: Number of resamples.
        seed: Seed of the random numbers.
    """
    order = np.argsort(strata, kind="stable")
    _, starts, sizes = np.unique(strata[order], return_index=True, return_counts=True)
    first, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    generator = np.random.default_rng(seed)
    images = len(strata)
    for rows in block_sizes(count, images):
        drawn = order[first + (generator.random((rows, images)) * size).astype(np.int64)]
        cells = drawn + images * np.arange(rows)[:, None]
        yield np.bincount(cells.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float64)


def bootstrap(statistic: Statistic, strata: NDArray[np.int64], count: int = RESAMPLES) -> list[Interval]:
    """Returns metrics with their percentile intervals (Efron 1979, doi:10.1214/aos/1176344552).

    A resample in which a metric is undefined is ignored for that metric.

    Args:
        statistic: Computes the metrics.
        strata: The stratum of each image, [n].
        count: Number of resamples.
    """
    values = statistic(np.ones((1, len(strata))))[0]
    if not len(strata):
        return [Interval(None) for _ in values]
    drawn = np.concatenate([statistic(weights) for weights in resamples(strata, count)])
    return [_interval(value, of_one) for value, of_one in zip(values, drawn.T, strict=True)]


def _interval(value: float, drawn: Values) -> Interval:
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(drawn):
        return Interval(None)
    # Resamples repeat images, which biases some metrics (a calibration error grows): widen the interval to the value.
    if np.ptp(drawn) < _SPREAD:
        return Interval(float(value))
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(value), float(min(low, value)), float(max(high, value)))
