"""Whether a dataset has drifted from another: each time a test, and how large the change is.

A check fails only if the change is larger than its threshold *and* more than chance would make. Either alone misleads:
of many images the smallest change is significant, and of few images chance alone makes large ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from components.validate.baseline import Looks
from components.validate.check import Check
from components.validate.settings import ValidateSettings

# Setting -> the histograms that it is about, each tested alone.
_HISTOGRAMS = {
    "max_brightness_drift": ("brightness",),
    "max_size_drift": ("short_side_px", "aspect"),
    "max_colour_drift": ("red", "green", "blue"),
}


@dataclass(frozen=True)
class Change:
    """What a test says of two distributions.

    Attributes:
        effect: How large the change is: 0 for none, 1 if they have nothing in common.
        statistic: Of the test.
        p: How often chance alone would make one like it, 0..1.
    """

    effect: float
    statistic: float
    p: float


def check_drift(now: Looks, before: Looks, settings: ValidateSettings) -> Iterator[Check]:
    """Yields a check for each limit on drift that is set."""
    if settings.max_label_drift is not None:
        change = label_change(now.classes, before.classes)
        yield _check("max_label_drift", "", change, settings.max_label_drift, settings)
    for setting, names in _HISTOGRAMS.items():
        limit = getattr(settings, setting)
        for name in names if limit is not None else ():
            histograms = now.summary.histogram(name), before.summary.histogram(name)
            change = histogram_change(*histograms, now.images, before.images)
            yield _check(setting, name, change, limit, settings)


def _check(name: str, where: str, change: Change, limit: float, settings: ValidateSettings) -> Check:
    passed = change.effect <= limit or change.p >= settings.drift_significance
    return Check(name, where, change.effect, limit, passed, change.statistic, change.p)


def label_change(now: Mapping[str, int], before: Mapping[str, int]) -> Change:
    """Compares the classes' shares: a chi-square test of homogeneity (Pearson 1911, doi:10.1093/biomet/8.1-2.250).

    The effect is the total variation distance: the share of images that would have to change class. A class that only
    one side has counts as one without images on the other.

    Args:
        now: Class name -> images.
        before: The same of the other dataset.
    """
    from scipy import stats  # here: it takes a second, which a first run need not spend

    names = sorted(name for name in {*now, *before} if now.get(name, 0) + before.get(name, 0))
    table = np.array([[side.get(name, 0) for name in names] for side in (now, before)])
    shares = table / table.sum(axis=1, keepdims=True)
    result = stats.chi2_contingency(table, correction=False)
    return Change(float(abs(shares[0] - shares[1]).sum() / 2), float(result.statistic), float(result.pvalue))


def histogram_change(now: Sequence[int], before: Sequence[int], now_images: int, before_images: int) -> Change:
    """Compares two histograms of the same bins: the two-sample Kolmogorov-Smirnov test, on the bins' edges.

    The statistic, and the effect, is the largest difference of the cumulated shares. Seen only at the edges it can be
    smaller than it is, never larger, so p is never too small: the test is conservative (Pettitt and Stephens 1977,
    doi:10.1080/00401706.1977.10489529). p is the asymptotic one, as of `scipy.stats.ks_2samp`.

    Args:
        now: Images in each bin.
        before: The same of the other dataset.
        now_images: How many there are; fewer than in the bins, where an image of several classes counts in each.
        before_images: The same of the other dataset.
    """
    from scipy import stats

    shares = [np.cumsum(counts) / sum(counts) for counts in (now, before)]
    effect = float(abs(shares[0] - shares[1]).max())
    together = now_images * before_images / (now_images + before_images)
    return Change(effect, effect, float(stats.kstwo.sf(effect, max(1, round(together)))))
