"""Labels that are probably wrong: single images, and classes whose images look as if they were filed under another one.

One image that contradicts its label may be a mistake of the model. Many images of one class that contradict it in the
same way, while the model is right about the other classes, are a bad batch: the more so if they came together.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import PurePosixPath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

# A pair of classes is named if chance explains its contradictions less often than this, over all pairs together.
_SIGNIFICANCE = 0.01
_FEWEST = 3
# A model that is wrong about more of the other classes' images than this is not believed.
_LEAST_ACCURACY = 0.6
# One class is blamed alone if its share is this many times that of the other.
_ONE_WAY = 2
_MOST_PAIRS, _MOST_FILES = 3, 20
# What may name a series: the part of a name up to a separator, or up to where digits begin or end.
_PREFIX_END = re.compile(r"(?<=[_\W])(?=[^_\W])|(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")


class Described(Protocol):
    """What tells what an image came with: an index entry, say."""

    @property
    def filename(self) -> str:
        """Its address in the source."""

    @property
    def group(self) -> str:
        """Its group, or ""."""

    @property
    def slices(self) -> Sequence[tuple[str, str]]:
        """Its other attributes, name and value."""


@dataclass(frozen=True)
class Mislabelled:
    """A class, or two, whose labels look wrong.

    Attributes:
        sentence: The finding, for people.
        classes: The two classes.
        count: Number of images that look like another class.
        files: Addresses of these images, the likeliest first; not more than a page can list.
    """

    sentence: str
    classes: Sequence[str]
    count: int
    files: Sequence[str] = field(default_factory=tuple)


def label_errors(labels: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Returns the images whose label is likely wrong, the most likely first.

    Confident learning (Northcutt, Jiang and Chuang 2021, doi:10.1613/jair.1.12125): the model is confident in a class
    if its score is at least the mean score of that class on images labelled with it. An image is listed if the most
    likely of these classes is not its label, unless the prediction is the label: then a reader would see no
    contradiction. The order is by the margin between that class's score and the label's.

    Args:
        labels: The label of each image, [n].
        scores: Probabilities, [n, classes], of a model that was not trained on these images.

    Returns:
        Indices of images, at most n.
    """
    classes, images = scores.shape[1], np.arange(len(labels))
    own = scores[images, labels]
    sizes = np.bincount(labels, minlength=classes)
    # The model is never confident in a class without images.
    usual = np.divide(np.bincount(labels, own, classes), sizes, out=np.full(classes, np.inf), where=sizes > 0)
    confident = np.where(scores >= usual, scores, -1.0)
    seen = confident.argmax(axis=1)
    found = np.flatnonzero((confident[images, seen] >= 0) & (seen != labels) & (scores.argmax(axis=1) != labels))
    margin = scores[found, seen[found]] - own[found]
    return np.asarray(found[np.argsort(-margin, kind="stable")], np.int64)


def find_mislabelled(
    labels: NDArray[np.int64], scores: NDArray[np.float32], entries: Sequence[Described], classes: Sequence[str]
) -> list[Mislabelled]:
    """Returns the classes whose labels look wrong, the most striking first.

    Two classes are named if far more of their images look like the other one than images of the other classes look
    mislabelled at all (a binomial test). A model that is often wrong about the other classes proves nothing.

    Args:
        labels: The label of each image, [n].
        scores: Probabilities, [n, classes], of a model that was not trained on these images.
        entries: What is known of the images, [n], such as their index entries.
        classes: Names of the classes.
    """
    suspects, predicted = label_errors(labels, scores), scores.argmax(axis=1)
    seen = np.full(len(labels), -1)
    seen[suspects] = predicted[suspects]
    pairs = list(combinations(range(len(classes)), 2))
    odds = {pair: len(pairs) * _odds_by_chance(pair, labels, seen, predicted == labels) for pair in pairs}
    likeliest = sorted((pair for pair in pairs if odds[pair] < _SIGNIFICANCE), key=odds.__getitem__)
    return [
        _describe(pair, [at for at in suspects if {labels[at], seen[at]} == set(pair)], labels, classes, entries)
        for pair in likeliest[:_MOST_PAIRS]
    ]


def _odds_by_chance(
    pair: tuple[int, int], labels: NDArray[np.int64], seen: NDArray[np.int64], correct: NDArray[np.bool_]
) -> float:
    """Returns how likely so many images of two classes look like the other one if their labels are as good as others.

    Args:
        pair: The two classes.
        labels: The label of each image, [n].
        seen: The class that contradicts the label, [n]; -1 where none does.
        correct: True where the prediction is the label, [n].
    """
    inside = np.isin(labels, pair)
    contradicted = inside & np.isin(seen, pair)
    rest = ~inside
    if not rest.any():  # of two classes, the one with fewer contradictions tells what is usual
        shares = {at: (contradicted & (labels == at)).sum() / max((labels == at).sum(), 1) for at in pair}
        inside = labels == max(pair, key=shares.__getitem__)
        contradicted, rest = contradicted & inside, ~inside
    count, images = int(contradicted.sum()), int(inside.sum())
    if count < _FEWEST or correct[rest].mean() < _LEAST_ACCURACY:
        return 1.0
    usual = (int((seen >= 0)[rest].sum()) + 1) / (int(rest.sum()) + 2)
    return float(stats.binom.sf(count - 1, images, usual))


def _describe(
    pair: tuple[int, int],
    suspects: Sequence[int],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    entries: Sequence[Described],
) -> Mislabelled:
    sizes = {at: int((labels == at).sum()) for at in pair}
    of_each = {at: [image for image in suspects if labels[image] == at] for at in pair}
    more, less = sorted(pair, key=lambda at: -len(of_each[at]) / sizes[at])
    first = f"{len(of_each[more])} of {sizes[more]} {classes[more]}"
    chosen = of_each[more]
    inside = [image for image in range(len(labels)) if labels[image] in pair]
    together = _find_batch(chosen, inside, entries)
    # What came together is a batch, even if the model, misled by it, also mistakes the other class.
    if together or len(of_each[more]) / sizes[more] >= _ONE_WAY * len(of_each[less]) / sizes[less]:
        sentence = f"{first} look mislabelled: they look like {classes[less]}"
    else:
        chosen = list(suspects)
        sentence = (
            f"{first} look like {classes[less]}, and {len(of_each[less])} of {sizes[less]} {classes[less]} like "
            f"{classes[more]}: their labels seem to be mixed up, or the images do not tell them apart"
        )
        together = _find_batch(chosen, inside, entries)
    files = tuple(entries[image].filename for image in chosen[:_MOST_FILES])
    return Mislabelled(f"{sentence}{together}", [classes[more], classes[less]], len(chosen), files)


def _find_batch(suspects: Sequence[int], images: Sequence[int], entries: Sequence[Described]) -> str:
    """Returns what most of the suspects and few other images have in common, or ""."""
    wrong = set(suspects)
    batches: dict[str, list[int]] = defaultdict(list)
    for image in images:
        for batch in _batches(entries[image]):
            batches[batch].append(image)
    best, odds = "", _SIGNIFICANCE
    for batch, members in batches.items():
        inside = len(wrong.intersection(members))
        if inside < _FEWEST or 2 * inside < len(wrong) or len(members) == len(images):
            continue
        outside, others = len(wrong) - inside, len(images) - len(members)
        table = [[inside, len(members) - inside], [outside, others - outside]]
        chance = float(stats.fisher_exact(table, alternative="greater").pvalue) * len(batches)
        if chance <= odds:  # of the beginnings of a name that are as telling, the longest
            best, odds = f"; {inside} of them are among the {len(members)} {batch}", chance
    return best


def _batches(entry: Described) -> Iterator[str]:
    """Yields what an image may have come with: its folder, the series that its name counts, its other attributes."""
    path = PurePosixPath(entry.filename)
    if str(path.parent) != ".":
        yield f"in {path.parent}/"
    for end in _PREFIX_END.finditer(path.stem):
        yield f"named {path.stem[: end.start()]}*"
    if entry.group:
        yield f"of group {entry.group}"
    for name, value in entry.slices:
        yield f"with {name}={value}"
