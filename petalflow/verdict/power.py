"""The odds of a verdict: how likely a model passes a check, given its true accuracy and the number of test images.

A gate on a bound rarely accepts a model that is not good enough. The price is that it may refuse a good model because
the test set is small. This module computes how often either happens, and how many images it takes. Nothing is
simulated: the odds are sums over all possible counts.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from petalflow.metrics.intervals import CONFIDENCE, tango_statistic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

_MOST_IMAGES = 1_000_000
_STEPS = 200  # the search proceeds in steps of half a percent
_STATISTIC = 1e-4  # tolerance of a critical value
_NEGLIGIBLE = 1e-13  # probability omitted at either end of a sum
_SHARES, _RAREST = 60, 1e-4  # shares of images that differ: how many are tried, and the lowest


def power_of_min(accuracy: float, images: int, threshold: float) -> float:
    """Returns how likely a model passes `check_min`.

    Exact: the number of correct predictions is binomial, and the Clopper-Pearson bound reaches the threshold where
    this many or more would occur at most 5 % of the time if the true accuracy were the threshold (Clopper and Pearson
    1934, doi:10.1093/biomet/26.4.404). The power is a sawtooth in the number of images, as counts are integers
    (Chernick and Liu 2002, doi:10.1198/000313002317572835).

    Args:
        accuracy: The model's true accuracy (or recall), 0..1.
        images: Number of test images, drawn independently; 0 or more.
        threshold: What its bound must reach, 0..1.

    Returns:
        A probability, 0..1.

    Raises:
        ValueError: If an argument is out of range.
    """
    from scipy import stats

    _check_ranges(images=images, accuracy=accuracy, threshold=threshold)
    if images == 0 or threshold == 0:
        return float(images > 0)
    most_too_few = stats.binom.isf(1 - CONFIDENCE, images, threshold)
    return float(stats.binom.sf(most_too_few, images, accuracy))


def power_of_accuracy_drop(
    images: int, margin: float, discordant: float, difference: float = 0.0, *, bound_alone: bool = False
) -> float:
    """Returns how likely a candidate passes `check_paired` with a tolerated drop in accuracy of `margin`.

    Exact up to 1e-13 at either end: sums the trinomial of both models' predictions over all counts whose score
    statistic passes (Liu, Hsueh, Hsieh and Chen 2002, doi:10.1002/sim.1012).

    Args:
        images: Number of images both are tested on, drawn independently; 0 or more.
        margin: The tolerated drop in accuracy, 0..1.
        discordant: The true share of images that only one of the two classifies correctly, 0..1. Two models that err
            on a share e of the images, independently, have 2e(1 - e); models with common mistakes have less.
        difference: The true accuracy(candidate) - accuracy(baseline), -discordant..discordant.
        bound_alone: True to ignore the exact odds, which the check requires in addition to the bound.

    Returns:
        A probability, 0..1.

    Raises:
        ValueError: If an argument is out of range.
    """
    _check_ranges(images=images, margin=margin, discordant=discordant)
    if abs(difference) > discordant:
        raise ValueError(f"models that disagree on {discordant:g} of the images cannot differ by {difference:g}")
    if images == 0 or margin == 1:  # a bound is never below -1
        return float(images > 0)
    z = _critical_for_bound() if bound_alone else _critical(images, -margin)
    return float(_odds(images, -margin, z, discordant, difference)[0])


@functools.lru_cache(maxsize=1 << 16)
def odds_of_difference(better: int, worse: int, images: int, least: float) -> float:
    """Returns how often a candidate whose true difference is `least` looks at least as good as this one by chance.

    The largest of these odds over the share of images on which the two models differ: the exact unconditional test by
    the score statistic (Hsueh, Liu and Chen 2001, doi:10.1111/j.0006-341X.2001.00478.x), with the maximum taken over
    120 shares. Where few images differ, Tango's bound alone accepts 7 % instead of 5 %.

    Args:
        better: Images that only the candidate classifies correctly.
        worse: Images that only the baseline classifies correctly.
        images: Number of all images, 1 or more.
        least: The assumed true accuracy(candidate) - accuracy(baseline), above -1 and below 1.
    """
    # Slightly lower, as the same sum may differ in its last digit.
    return _largest_odds(images, least, float(tango_statistic(better, worse, images, least)) - 1e-9)


def _largest_odds(images: int, least: float, z: float) -> float:
    """Returns how likely the score statistic is z or more, at the share of images that differ where that is likeliest.

    Args:
        images: Number of all images.
        least: The true difference.
        z: The score statistic.
    """
    import numpy as np

    fewest = max(abs(least), _RAREST)
    # Denser at both ends, where the odds change fastest.
    shares = np.union1d(np.geomspace(fewest, 1, _SHARES), 1 - np.geomspace(_RAREST, 1 - fewest, _SHARES))
    return float(_odds(images, least, z, shares.clip(fewest, 1), least).max())


def _critical_for_bound() -> float:
    """Returns the lowest score statistic at which the one-sided bound passes."""
    from scipy import stats

    return float(stats.norm.ppf(CONFIDENCE))


@functools.lru_cache(maxsize=1 << 10)
def _critical(images: int, least: float) -> float:
    """Returns the lowest score statistic at which both the bound and the exact odds pass, to within 1e-4."""
    passes, fails = _critical_for_bound(), 0.0
    while _largest_odds(images, least, passes) > 1 - CONFIDENCE:
        passes, fails = 1.5 * passes, passes
    while fails and passes - fails > _STATISTIC:
        middle = (passes + fails) / 2
        enough = _largest_odds(images, least, middle) <= 1 - CONFIDENCE
        passes, fails = (middle, fails) if enough else (passes, middle)
    return passes


def images_for_min(accuracy: float, threshold: float, power: float = 0.8) -> int | None:
    """Returns how many images a model of this accuracy needs to pass `check_min` with a probability of `power`.

    Args:
        accuracy: The model's true accuracy (or recall), 0..1.
        threshold: What its bound must reach, 0..1.
        power: The required probability, at least 0.5 and below 1.

    Returns:
        The lowest number, to within half a percent, from which the power is never below `power`; None if a million
        images are too few, which is always so if the accuracy is not above the threshold.

    Raises:
        ValueError: If an argument is out of range.
    """
    return _least_images(lambda images: power_of_min(accuracy, images, threshold), power)


def images_for_accuracy_drop(
    margin: float, discordant: float, difference: float = 0.0, power: float = 0.8
) -> int | None:
    """Returns how many images a candidate needs for its bound to stay within the margin with a probability of `power`.

    With this many images, the exact odds that `check_paired` also requires hardly ever refuse more.

    Args:
        margin: The tolerated drop in accuracy, 0..1.
        discordant: The true share of images that only one of the two models classifies correctly, 0..1.
        difference: The true accuracy(candidate) - accuracy(baseline), -discordant..discordant.
        power: The required probability, at least 0.5 and below 1.

    Returns:
        As `images_for_min`; None also if the candidate is worse by the margin or more.

    Raises:
        ValueError: If an argument is out of range.
    """
    return _least_images(
        lambda images: power_of_accuracy_drop(images, margin, discordant, difference, bound_alone=True), power
    )


def _odds(images: int, least: float, z: float, discordant: "ArrayLike", difference: float) -> "NDArray[np.float64]":
    """Returns how likely the score statistic for a difference of `least` is z or more, at each share that differs.

    Args:
        images: Number of all images.
        least: The difference that the statistic is for.
        z: The score statistic.
        discordant: The true share of images that differ, or several, [n].
        difference: The true difference.
    """
    import numpy as np
    from scipy import stats

    shares = np.atleast_1d(np.asarray(discordant, np.float64))
    first, last = stats.binom.ppf([[_NEGLIGIBLE], [1 - _NEGLIGIBLE]], images, shares).astype(int)
    # The counts that are likely at each share, one share after another.
    lengths = last - first + 1
    starts = lengths.cumsum() - lengths
    differing = np.arange(lengths.sum()) - np.repeat(starts - first, lengths)
    each = np.arange(first.min(), last.max() + 1)
    needed = _least_better(each, images, least, z)[differing - each[0]]
    with np.errstate(divide="ignore", invalid="ignore"):
        better = np.where(shares > 0, (1 + difference / shares) / 2, 0.5).clip(0, 1)
    enough = stats.binom.sf(needed - 1, differing, np.repeat(better, lengths))
    likely = stats.binom.pmf(differing, images, np.repeat(shares, lengths))
    return np.minimum(1.0, np.add.reduceat(likely * enough, starts))


def _least_better(differing: "NDArray[np.int64]", images: int, least: float, z: float) -> "NDArray[np.int64]":
    """Returns, for each count of images that differ, how many must favour the candidate; one more if none pass."""
    import numpy as np

    # Bisection for all counts at once: each image that favours the candidate raises the statistic.
    low, high = np.zeros_like(differing), differing + 1
    while (low < high).any():
        middle = (low + high) // 2
        passes = tango_statistic(middle, differing - middle, images, least) >= z
        low, high = np.where(passes | (low == high), low, middle + 1), np.where(passes, middle, high)
    return high


def _least_images(power_of: Callable[[int], float], power: float) -> int | None:
    if not 0.5 <= power < 1:
        raise ValueError(f"power must be at least 0.5 and below 1, not {power:g}")
    images = 1
    while power_of(images) < power:
        images *= 2
        if images > _MOST_IMAGES:
            return None
    images *= 4  # what was found may be the peak of a tooth; at this size every tooth is above `power`
    while images and power_of(images) >= power:
        step = max(1, images // _STEPS)
        images -= step
    return images + step


def _check_ranges(images: int, **shares: float) -> None:
    if images < 0:
        raise ValueError(f"images must be 0 or more, not {images}")
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1, not {share:g}")
