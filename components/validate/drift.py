"""Checks whether a dataset has drifted from a reference, the dataset of the live release.

A check fails only if the change is both larger than its limit and statistically significant. Either criterion alone
misleads: with many images the smallest change is significant, and with few images chance alone makes large changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.validate.checks import DataCheck
from components.validate.settings import ValidateSettings
from petalflow import registry, storage
from petalflow.dataset import STATISTICS_FILE, Summary, open_dataset
from petalflow.errors import UsageError
from petalflow.registry import DATASET_STATISTICS_FILE

_SUFFIX = ".json"
# Setting -> the histograms that it limits, each tested separately.
_HISTOGRAMS = {
    "max_brightness_drift": ("brightness",),
    "max_size_drift": ("short_side_px", "aspect"),
    "max_colour_drift": ("red", "green", "blue"),
}


@dataclass(frozen=True)
class DatasetProfile:
    """The class distribution of a dataset and a summary of its images.

    Attributes:
        classes: Class name -> number of images in all splits.
        images: Number of images in all splits.
        summary: Summary of all images; an image of several classes is counted once per class.
    """

    classes: Mapping[str, int]
    images: int
    summary: Summary

    @classmethod
    def of(cls, statistics: Mapping[str, Any]) -> "DatasetProfile":
        """Returns the profile of the dataset with the given statistics.json.

        Raises:
            ValueError: If it has another format.
        """
        try:
            summary = Summary()
            for by_class in statistics["summaries"].values():
                for part in by_class.values():
                    summary.merge(Summary.from_json(part))
            counts = {
                name: sum(by_class[name] for by_class in statistics["counts"].values())
                for name in statistics["classes"]
            }
            return cls(counts, sum(statistics["sizes"].values()), summary)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise ValueError("was written by another version of Petalflow and lacks statistics of the images") from None


@dataclass(frozen=True)
class ReferenceDataset:
    """The dataset that another one is compared with, or the reason why there is none.

    Attributes:
        name: Name for people; "" if there is no reference.
        classes: The classes with images.
        profile: The profile of the dataset; None if it is unknown.
        why: Why the profile is unknown; "" if it is known.
    """

    name: str = ""
    classes: frozenset[str] = field(default_factory=frozenset)
    profile: DatasetProfile | None = None
    why: str = ""


def live_reference(registry_uri: str, name: str) -> ReferenceDataset:
    """Returns the dataset of the live release, from the statistics in the release: the dataset may no longer exist.

    Raises:
        UsageError: If the lineage of the live release is unknown.
    """
    live = registry.live(registry_uri, name)
    if live is None:
        return ReferenceDataset(why="no release under this name yet")
    release, classes = f"release {live.version}", frozenset(live.class_names)
    address = storage.join(live.uri, DATASET_STATISTICS_FILE)
    try:
        return ReferenceDataset(release, classes, DatasetProfile.of(storage.read_json(address)))
    except FileNotFoundError:
        why = f"{release} has no {DATASET_STATISTICS_FILE}: it was made before releases had one"
    except ValueError as error:
        why = f"{address} {_describe(error)}"
    return ReferenceDataset(release, classes, why=why)


def read_reference(address: str) -> ReferenceDataset:
    """Returns the dataset at an address: that of its folder, or of its statistics.json alone.

    Raises:
        UsageError: If the address is neither.
        PetalflowError: If the folder is not a complete dataset.
    """
    try:
        statistics = storage.read_json(address) if address.endswith(_SUFFIX) else open_dataset(address).statistics
        profile = DatasetProfile.of(statistics)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UsageError(
            f"the reference dataset {address} does not exist; give the folder of a dataset or its {STATISTICS_FILE}"
        ) from None
    except ValueError as error:
        raise UsageError(f"the reference dataset {address} {_describe(error)}") from None
    return ReferenceDataset(address, frozenset(name for name, images in profile.classes.items() if images), profile)


def _describe(error: ValueError) -> str:
    # The message of a JSON parser would not help here.
    return str(error) if type(error) is ValueError else "is not valid JSON"


@dataclass(frozen=True)
class Change:
    """The result of a test of two distributions.

    Attributes:
        effect: Effect size: 0 if the distributions are equal, 1 if they are disjoint.
        statistic: The test statistic.
        p: The p-value, 0..1.
    """

    effect: float
    statistic: float
    p: float


def check_drift(current: DatasetProfile, reference: DatasetProfile, settings: ValidateSettings) -> Iterator[DataCheck]:
    """Yields a check for each drift limit that is set."""
    if settings.max_label_drift is not None:
        change = compare_labels(current.classes, reference.classes)
        yield _check("max_label_drift", "", change, settings.max_label_drift, settings)
    for setting, names in _HISTOGRAMS.items():
        limit = getattr(settings, setting)
        for name in names if limit is not None else ():
            histograms = current.summary.histogram(name), reference.summary.histogram(name)
            change = compare_histograms(*histograms, current.images, reference.images)
            yield _check(setting, name, change, limit, settings)


def _check(name: str, where: str, change: Change, limit: float, settings: ValidateSettings) -> DataCheck:
    passed = change.effect <= limit or change.p >= settings.drift_significance
    return DataCheck(name, where, change.effect, limit, passed, change.statistic, change.p)


def compare_labels(current: Mapping[str, int], reference: Mapping[str, int]) -> Change:
    """Compares two class distributions: chi-square test of homogeneity (Pearson 1911, doi:10.1093/biomet/8.1-2.250).

    The effect is the total variation distance: the share of images that would have to change class. A class that only
    one side has counts as a class without images on the other.

    Args:
        current: Class name -> number of images.
        reference: The same for the reference.
    """
    from scipy import stats  # imported here: it takes a second, and a first run does not need it

    names = sorted(name for name in {*current, *reference} if current.get(name, 0) + reference.get(name, 0))
    table = np.array([[side.get(name, 0) for name in names] for side in (current, reference)])
    shares = table / table.sum(axis=1, keepdims=True)
    result = stats.chi2_contingency(table, correction=False)
    return Change(float(abs(shares[0] - shares[1]).sum() / 2), float(result.statistic), float(result.pvalue))


def compare_histograms(
    current: Sequence[int], reference: Sequence[int], current_images: int, reference_images: int
) -> Change:
    """Compares two histograms with equal bins: two-sample Kolmogorov-Smirnov test at the edges of the bins.

    The statistic and the effect are the largest difference between the cumulative distributions. Evaluated only at the
    edges, it can be too small but never too large, so p is never too small: the test is conservative (Pettitt and
    Stephens 1977, doi:10.1080/00401706.1977.10489529). p is asymptotic, as in `scipy.stats.ks_2samp(method="asymp")`.

    Args:
        current: Number of images in each bin.
        reference: The same for the reference.
        current_images: Number of images; less than the sum of the bins if images have several classes.
        reference_images: The same for the reference.
    """
    from scipy import stats

    shares = [np.cumsum(counts) / sum(counts) for counts in (current, reference)]
    effect = float(abs(shares[0] - shares[1]).max())
    effective = current_images * reference_images / (current_images + reference_images)
    return Change(effect, effect, float(stats.kstwo.sf(effect, max(1, round(effective)))))
