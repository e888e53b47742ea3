"""Confidence bounds and intervals of proportions and of their paired differences."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95


def clopper_pearson_lower(successes: int, trials: int) -> float:
    """Returns the one-sided 95 % lower bound of a proportion; 0.0 without trials.

    Exact: whatever the true proportion, the bound lies above it at most 5 % of the time
    (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404).

    Args:
        successes: 0..trials.
        trials: Number of trials.
    """
    from scipy import stats  # imported here: it takes a second, and reading a verdict needs no bounds

    if trials == 0:
        return 0.0
    result = stats.binomtest(successes, trials, alternative="greater")
    return float(result.proportion_ci(CONFIDENCE, method="exact").low)


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Returns the two-sided 95 % interval of a proportion, for showing; (0, 1) without trials.

    Its coverage is closest to 95 % on average (Wilson 1927, doi:10.1080/01621459.1927.10502953).
    """
    from scipy import stats

    if trials == 0:
        return 0.0, 1.0
    interval = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def tango_lower(better: int, worse: int, pairs: int, confidence: float = CONFIDENCE) -> float:
    """Returns the one-sided lower bound of a difference of paired proportions.

    The score interval of Tango (1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B),
    which stays valid where few pairs differ, or none.

    Args:
        better: Images that only the candidate classifies correctly.
        worse: Images that only the baseline classifies correctly.
        pairs: All images that both were tested on.
        confidence: Confidence level, above 0.5 and below 1.

    Returns:
        The bound of accuracy(candidate) - accuracy(baseline), -1..1; -1.0 without pairs.
    """
    from scipy import optimize, stats

    if pairs == 0:
        return -1.0
    z = float(stats.norm.ppf(confidence))
    difference = (better - worse) / pairs

    def excess(delta: float) -> float:
        return float(tango_statistic(better, worse, pairs, delta)) - z

    lowest = -1 + 1e-12
    if excess(lowest) <= 0:
        return -1.0
    # At the difference itself the statistic is 0, and it grows as delta falls.
    return float(optimize.brentq(excess, lowest, min(difference, 1 - 1e-12), xtol=1e-10))


def tango_interval(better: int, worse: int, pairs: int) -> tuple[float, float]:
    """Returns the two-sided 95 % interval of a difference of paired proportions, for showing; (-1, 1) without pairs.

    Tango's, as `tango_lower`.

    Args:
        better: Images that only the candidate classifies correctly.
        worse: Images that only the baseline classifies correctly.
        pairs: All images that both were tested on.
    """
    each_side = (1 + CONFIDENCE) / 2
    return tango_lower(better, worse, pairs, each_side), -tango_lower(worse, better, pairs, each_side)


def tango_statistic(better: "ArrayLike", worse: "ArrayLike", pairs: int, delta: float) -> "NDArray[np.float64]":
    """Returns by how many standard errors the counts exceed a true difference of `delta`.

    The score statistic that `tango_lower` is the root of: the bound reaches delta where the statistic reaches 1.645.

    Args:
        better: Images that only the candidate classifies correctly; a count, or an array of any shape.
        worse: Images that only the baseline classifies correctly, likewise.
        pairs: All images, 1 or more.
        delta: accuracy(candidate) - accuracy(baseline), -1..1.
    """
    import numpy as np

    better, worse = np.asarray(better, np.float64), np.asarray(worse, np.float64)
    # Maximum-likelihood share of "worse" pairs if the true difference is delta.
    b = -better - worse + (2 * pairs - better + worse) * delta
    c = -worse * delta * (1 - delta)
    share = (np.sqrt(np.maximum(b * b - 8 * pairs * c, 0.0)) - b) / (4 * pairs)
    variance = np.maximum(pairs * (2 * share + delta * (1 - delta)), 0.0)
    distance = better - worse - pairs * delta
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((variance == 0) & (distance == 0), 0.0, distance / np.sqrt(variance))
