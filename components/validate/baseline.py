"""What a dataset is compared with: the dataset of the live release, as it was when that was made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
