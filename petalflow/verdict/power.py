"""The odds of a verdict: how likely a model passes a check, given what it truly is and how many images it is tested on.

A gate on a bound rarely lets through a model that is not good enough. The price is that a good model may be refused
because the test set is small. Here stands how often either happens, and how many images it takes. Nothing is
simulated: the odds are sums over all that could be counted.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from petalflow.metrics.intervals import CONFIDENCE, tango_statistic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_IMAGES = 1_000_000
_STEPS = 200  # the search goes by half percents
_STATISTIC = 1e-4  # how closely a critical value is looked for
_NEGLIGIBLE = 1e-13  # probability left out at either end of a sum
_SHARES, _RAREST = 60, 1e-4  # of images that differ: how many shares are looked at, and the least


def power_of_min(accuracy: float, images: int, threshold: float) -> float:
    """Returns how likely a model passes `check_min`.

    Exact: the count of right answers is binomial, and the Clopper-Pearson bound reaches the threshold where so many or
    more would be had at most 5 % of the time if the threshold were the truth (Clopper and Pearson 1934,
    doi:10.1093/biomet/26.4.404). It rises in teeth with the number of images, as counts are whole numbers
    (Chernick and Liu 2002, doi:10.1198/000313002317572835).

    Args:
        accuracy: The model's true accuracy (or recall), 0..1.
        images: How many it is tested on, drawn independently; 0 or more.
        threshold: What its bound must reach, 0..1.

    Returns:
        A probability, 0..1.

    Raises:
        ValueError: If an argument is out of its range.
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
    """Returns how likely a candidate passes `check_paired`, where an accuracy may be less by the margin.

    Exact, by summing the trinomial of both models' answers over all counts that pass by their score statistic (Liu,
    Hsueh, Hsieh and Chen 2002, doi:10.1002/sim.1012), but for 1e-13 at either end.

    Args:
        images: How many both are tested on, drawn independently; 0 or more.
        margin: The drop in accuracy that is tolerated, 0..1.
        discordant: The true share of images that one of the two has right and the other wrong, 0..1. Two models that
            each err on a share e of the images, independently, have 2e(1 - e); those with mistakes in common have less.
        difference: The true accuracy(candidate) - accuracy(baseline), -discordant..discordant.
        bound_alone: Whether the exact odds are left aside, which the check asks for besides the bound.

    Returns:
        A probability, 0..1.

    Raises:
        ValueError: If an argument is out of its range.
    """
    _check_ranges(images=images, margin=margin, discordant=discordant)
    if abs(difference) > discordant:
        raise ValueError(f"models that disagree on {discordant:g} of the images cannot differ by {difference:g}")
    if images == 0 or margin == 1:  # a bound is never under -1
        return float(images > 0)
    z = _critical_of_bound() if bound_alone else _critical(images, -margin)
    return _odds(images, -margin, z, discordant, difference)


@functools.lru_cache(maxsize=1 << 16)
def odds_of_difference(better: int, worse: int, images: int, least: float) -> float:
    """Returns how often chance makes a candidate look as good as this one, that truly just misses what is asked of it.

    Whatever the share of images on which the two models differ: the largest of these odds. The exact unconditional
    test by the score statistic (Hsueh, Liu and Chen 2001, doi:10.1111/j.0006-341X.2001.00478.x), its maximum
    looked for at 120 shares. Where few images differ, Tango's bound alone lets 7 % through instead of 5.

    Args:
        better: Images that only the candidate has right.
        worse: Images that only the baseline has right.
        images: All images, 1 or more.
        least: The true accuracy(candidate) - accuracy(baseline) that is taken for granted, under 1 and above -1.
    """
    # A little less, as the same sum may come out with another last digit.
    return _largest_odds(images, least, float(tango_statistic(better, worse, images, least)) - 1e-9)


def _largest_odds(images: int, least: float, z: float) -> float:
    """Returns how likely the score statistic is z or more, at the share of images that differ where that is likeliest.

    Args:
        images: All of them.
        least: The true difference.
        z: The statistic.
    """
    import numpy as np

    fewest = max(abs(least), _RAREST)
    # Closer to each other at both ends, where the odds change fastest.
    shares = np.union1d(np.geomspace(fewest, 1, _SHARES), 1 - np.geomspace(_RAREST, 1 - fewest, _SHARES))
    shares = shares.clip(fewest, 1)
    return max(_odds(images, least, z, float(share), least) for share in shares)


def _critical_of_bound() -> float:
    from scipy import stats

    return float(stats.norm.ppf(CONFIDENCE))


@functools.lru_cache(maxsize=1 << 10)
def _critical(images: int, least: float) -> float:
    """Returns the score statistic from which on both the bound and the exact odds pass, to within 1e-4."""
    passes, fails = _critical_of_bound(), 0.0
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
        power: The probability asked for, 0.5 or more and under 1.

    Returns:
        The least number, to within half a percent, from which on the power is reached and kept; None if a
        million images are too few, as always where the accuracy is not above the threshold.

    Raises:
        ValueError: If an argument is out of its range.
    """
    return _least_images(lambda images: power_of_min(accuracy, images, threshold), power)


def images_for_accuracy_drop(
    margin: float, discordant: float, difference: float = 0.0, power: float = 0.8
) -> int | None:
    """Returns how many images a candidate's bound needs to keep to the margin with a probability of `power`.

    On so many images the exact odds, which `check_paired` asks for besides, hardly ever refuse more.

    Args:
        margin: The drop in accuracy that is tolerated, 0..1.
        discordant: The true share of images that one of the two models has right and the other wrong, 0..1.
        difference: The true accuracy(candidate) - accuracy(baseline), -discordant..discordant.
        power: The probability asked for, 0.5 or more and under 1.

    Returns:
        As `images_for_min`; None likewise where the candidate is worse by the margin or more.

    Raises:
        ValueError: If an argument is out of its range.
    """
    return _least_images(
        lambda images: power_of_accuracy_drop(images, margin, discordant, difference, bound_alone=True), power
    )


def _odds(images: int, least: float, z: float, discordant: float, difference: float) -> float:
    """Returns how likely the score statistic for a difference of `least` is z or more."""
    import numpy as np
    from scipy import stats

    ends = stats.binom.ppf([_NEGLIGIBLE, 1 - _NEGLIGIBLE], images, discordant).astype(int)
    differing = np.arange(ends[0], ends[1] + 1)
    share_better = min(max((1 + difference / discordant) / 2, 0.0), 1.0) if discordant else 0.5
    enough = stats.binom.sf(_least_better(differing, images, least, z) - 1, differing, share_better)
    return min(1.0, float(stats.binom.pmf(differing, images, discordant) @ enough))


def _least_better(differing: "NDArray[np.int64]", images: int, least: float, z: float) -> "NDArray[np.int64]":
    """Returns, for each count of images that differ, how many must be for the better; one more than all if none do."""
    import numpy as np

    # By bisection, for all counts at once: each image turned for the better raises the statistic.
    low, high = np.zeros_like(differing), differing + 1
    while (low < high).any():
        middle = (low + high) // 2
        passes = tango_statistic(middle, differing - middle, images, least) >= z
        low, high = np.where(passes | (low == high), low, middle + 1), np.where(passes, middle, high)
    return high


def _least_images(power_of: Callable[[int], float], power: float) -> int | None:
    if not 0.5 <= power < 1:
        raise ValueError(f"power must be 0.5 or more and under 1, not {power:g}")
    images = 1
    while power_of(images) < power:
        images *= 2
        if images > _MOST_IMAGES:
            return None
    images *= 4  # what was found may be the tip of a tooth; here no tooth reaches down any more
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
