"""Whether a dataset has drifted from that of the live release: each time a test, and how large the change is.

A check fails only if the change is larger than its threshold *and* more than chance would make. Either alone misleads:
of many images the smallest change is significant, and of few images chance alone makes large ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.validate.checks import Check
from components.validate.settings import ValidateSettings
from petalflow import registry, storage
from petalflow.dataset import Summary, open_dataset
from petalflow.errors import UsageError
from petalflow.registry import DATASET_STATISTICS_FILE

_SUFFIX = ".json"


@dataclass(frozen=True)
class Looks:
    """How many images of which class a dataset has, and what they are like.

    Attributes:
        classes: Class name -> images in all splits.
        images: In all splits.
        summary: Of all images together; one of several classes is in it once for each.
    """

    classes: Mapping[str, int]
    images: int
    summary: Summary

    @classmethod
    def of(cls, statistics: Mapping[str, Any]) -> "Looks":
        """Returns what statistics.json says.

        Raises:
            ValueError: If it does not say it in the way of today.
        """
        try:
            summary = Summary()
            for of_split in statistics["summaries"].values():
                for one in of_split.values():
                    summary.merge(Summary.from_json(one))
            counts = {
                name: sum(of_split[name] for of_split in statistics["counts"].values())
                for name in statistics["classes"]
            }
            return cls(counts, sum(statistics["sizes"].values()), summary)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise ValueError("was written by another version of Petalflow, and says nothing of its images") from None


@dataclass(frozen=True)
class Baseline:
    """What a dataset is compared with.

    Attributes:
        name: What it is, for people; "" if there is none.
        classes: The classes known then.
        looks: What its images were like; None if nobody knows.
        why: Why there is nothing to compare with, if so.
    """

    name: str = ""
    classes: frozenset[str] = field(default_factory=frozenset)
    looks: Looks | None = None
    why: str = ""


def live_baseline(registry_uri: str, name: str) -> Baseline:
    """Returns the dataset of the live release, from what was released with it: the dataset itself may be gone.

    Raises:
        UsageError: If the live release does not say what it was made from.
    """
    live = registry.live(registry_uri, name)
    if live is None:
        return Baseline(why="nothing was released under this name yet")
    what, classes = f"release {live.version}", frozenset(live.class_names)
    address = storage.join(live.uri, DATASET_STATISTICS_FILE)
    try:
        return Baseline(what, classes, Looks.of(storage.read_json(address)))
    except FileNotFoundError:
        why = f"{what} has no {DATASET_STATISTICS_FILE}: it was made before releases had one"
    except ValueError as error:
        why = f"{address} {_wrong_with(error)}"
    return Baseline(what, classes, why=why)


def given_baseline(address: str) -> Baseline:
    """Returns the dataset at an address: its folder, or its statistics.json alone.

    Raises:
        UsageError: If it is neither.
        PetalflowError: If it is a folder but no complete dataset.
    """
    try:
        statistics = storage.read_json(address) if address.endswith(_SUFFIX) else open_dataset(address).statistics
        looks = Looks.of(statistics)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UsageError(
            f"--baseline {address} is not there; give the folder of a dataset, or its statistics.json"
        ) from None
    except ValueError as error:
        raise UsageError(f"--baseline {address} {_wrong_with(error)}") from None
    return Baseline(address, frozenset(name for name, images in looks.classes.items() if images), looks)


def _wrong_with(error: ValueError) -> str:
    # What cannot be parsed is told in the words of a parser, which say nothing here.
    return str(error) if type(error) is ValueError else "is no JSON"


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
