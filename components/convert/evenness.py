"""Makes the splits even within each class, by moving as few images as possible from where their hashes put them.

A hash puts an image into a split whatever else the source holds. That is fair on average, but of 25 images of a class,
none is a test image in 7 % of cases. So where a class has too few or too many images in validation or test, those whose
hashes are nearest to the border of the splits cross it. Large classes are even by themselves: nothing moves there.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from components.convert.hashing import BORDERS, unit_hash
from petalflow.source import Item
from petalflow.splits import TRAIN

_SHARE = 0.1  # of validation, and of test
_TOLERANCE = 0.25  # a class may have a quarter more or fewer than its share
_FEWEST = 5  # classes with fewer images stay as their hashes put them
# Counted as a class: the images without a class, which a multi-label source may have.
NO_CLASS = ("",)


def allowed_counts(images: int) -> tuple[int, int]:
    """Returns how many images of a class may be in validation, or in test: the fewest and the most.

    Args:
        images: Number of images of the class.
    """
    if images < _FEWEST:
        return 0, images
    share = _SHARE * images
    fewest = max(1, min(math.ceil(round((1 - _TOLERANCE) * share, 6)), math.floor(round(share, 6))))
    return fewest, max(fewest, math.floor(round((1 + _TOLERANCE) * share, 6)))


@dataclass(slots=True)
class _Unit:
    """Images that stay together: those of a group, or of one content.

    Attributes:
        key: The group or the content hash; of several, the first.
        place: Their hash, 0..1.
        split: Their split.
        images: Class -> number of these images that have it.
    """

    key: str
    place: float
    split: str
    images: dict[str, int] = field(default_factory=dict)

    def distance(self, split: str) -> float:
        """Returns how far the hash is from those of a split, on the circle on which 1 is 0 again."""
        start, end = BORDERS[split]
        if start <= self.place < end:
            return 0.0
        return min((start - self.place) % 1, (self.place - end) % 1)


def even_out(placed: Sequence[tuple[str, Item]], drawn: Sequence[str]) -> list[str]:
    """Returns the split of each image, so that each class has its share of validation and of test.

    Classes are taken one after another, those with the fewest images first. An image of several classes, or a group,
    moves only where that takes no class that was taken before out of its limits. The result does not depend on the
    order of the images.

    Args:
        placed: The split that its hash gives to each image, and the image; equal contents next to each other.
        drawn: The splits that are filled from train: validation, test or both.
    """
    counts = _Counts(placed, drawn)
    uneven = {name for name in counts.totals if any(counts.excess(name, split) for split in drawn)}
    if not uneven:
        return [split for split, _ in placed]
    apart = all(item.group is None and len(item.labels) == 1 for _, item in placed)
    keys = _unit_keys(placed)
    units = _make_units(placed, keys, uneven if apart else None)
    of_class = defaultdict[str, list[_Unit]](list)
    for unit in units.values():
        for name in unit.images:
            of_class[name].append(unit)
    settled = set[str]()
    for name in sorted(of_class, key=lambda name: (counts.totals[name], name)):
        for split in drawn:
            _settle(name, split, of_class[name], counts, settled)
        settled.add(name)
    return [units[key].split if key in units else split for key, (split, _) in zip(keys, placed, strict=True)]


class _Counts:
    """Number of images of each class, in all and in each drawn split."""

    def __init__(self, placed: Iterable[tuple[str, Item]], drawn: Sequence[str]) -> None:
        self.totals = defaultdict[str, int](int)
        self.within = {split: defaultdict[str, int](int) for split in drawn}
        for split, item in placed:
            of_split = self.within.get(split)
            for name in item.labels or NO_CLASS:
                self.totals[name] += 1
                if of_split is not None:
                    of_split[name] += 1

    def excess(self, name: str, split: str, more: int = 0) -> int:
        """Returns by how many images a class exceeds its limits in a split: negative if it has too few, else 0 or more.

        Args:
            name: The class.
            split: The split.
            more: Number of images to add first.
        """
        fewest, most = allowed_counts(self.totals[name])
        count = self.within[split][name] + more
        return count - most if count > most else min(0, count - fewest)

    def in_train(self, name: str) -> int:
        """Returns the number of images of a class that are in no drawn split."""
        return self.totals[name] - sum(of_split[name] for of_split in self.within.values())

    def move(self, unit: _Unit, split: str) -> None:
        """Moves a unit to a split."""
        for name, images in unit.images.items():
            for of_split, sign in ((self.within.get(unit.split), -1), (self.within.get(split), 1)):
                if of_split is not None:
                    of_split[name] += sign * images
        unit.split = split


def _settle(name: str, split: str, units: Sequence[_Unit], counts: _Counts, settled: set[str]) -> None:
    """Moves units between train and a split until a class is within its limits, or no unit fits."""
    excess = counts.excess(name, split)
    if not excess:
        return
    origin, target, sign = (split, TRAIN, -1) if excess > 0 else (TRAIN, split, 1)
    candidates = sorted(
        (unit for unit in units if unit.split == origin), key=lambda unit: (unit.distance(target), unit.key)
    )
    for unit in candidates:
        if not counts.excess(name, split):
            return
        after = counts.excess(name, split, sign * unit.images[name])
        if after * sign <= 0 and _is_harmless(unit, split, sign, counts, settled):
            counts.move(unit, target)
    if sign > 0 and not counts.within[split][name]:
        # Large groups: too many test images are better than none, while most remain in train.
        small = [unit for unit in candidates if 2 * unit.images[name] <= counts.in_train(name)]
        if small:
            counts.move(min(small, key=lambda unit: unit.images[name]), target)


def _is_harmless(unit: _Unit, split: str, sign: int, counts: _Counts, settled: set[str]) -> bool:
    """Returns True if moving a unit takes no settled class further from its limits."""
    return all(
        abs(counts.excess(name, split, sign * images)) <= abs(counts.excess(name, split))
        for name, images in unit.images.items()
        if name in settled
    )


def _unit_keys(placed: Sequence[tuple[str, Item]]) -> list[str]:
    """Returns the key of each image's unit: its group or content, or that of a copy of it in another group."""
    joined = dict[str, str]()

    def find(key: str) -> str:
        while key in joined:
            key = joined[key]
        return key

    keys = [item.group or item.sha256 for _, item in placed]
    for at in range(1, len(placed)):
        if placed[at][1].sha256 == placed[at - 1][1].sha256:
            first, other = sorted((find(keys[at - 1]), find(keys[at])))
            if first != other:
                joined[other] = first
    return [find(key) for key in keys] if joined else keys


def _make_units(placed: Sequence[tuple[str, Item]], keys: Sequence[str], classes: set[str] | None) -> dict[str, _Unit]:
    """Returns the units by key; only those of some classes, unless these are None."""
    units = dict[str, _Unit]()
    for key, (split, item) in zip(keys, placed, strict=True):
        if classes is not None and item.labels[0] not in classes:
            continue
        unit = units.get(key)
        if unit is None:
            unit = units[key] = _Unit(key, unit_hash(key), split)
        for name in item.labels or NO_CLASS:
            unit.images[name] = unit.images.get(name, 0) + 1
    return units
