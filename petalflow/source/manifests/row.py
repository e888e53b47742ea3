"""A row of a manifest: an image's address and attributes, in one form whatever the manifest's format."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from petalflow.errors import UsageError
from petalflow.source.folder_names import split_of
from petalflow.source.manifests.labels import parse_labels
from petalflow.splits import SPLIT_NAMES

# Returns an image's address for its name in a row, or raises UsageError without naming the row.
Resolver = Callable[[str], str]

# What a split may be called; Vertex AI's "unassigned" leaves it to us.
SPLITS = {**SPLIT_NAMES, "unassigned": ""}


class Row(NamedTuple):
    """A row; "" or () stands for a missing value, so that rows can be sorted.

    Attributes:
        address: The image's address.
        labels: Its classes, sorted.
        split: "train", "validation" or "test".
        group: Images of one group stay in one split.
        slices: Its other attributes, name and value, sorted by name.
        is_complete: True if no label means that the image has none of the classes, not that it was not labelled.
    """

    address: str
    labels: tuple[str, ...]
    split: str
    group: str
    slices: tuple[tuple[str, str], ...]
    is_complete: bool = False


class RowMaker:
    """Makes rows from texts; values that many rows share are kept in memory once."""

    def __init__(self, resolve: Resolver) -> None:
        self._resolve = resolve
        self._labels: dict[str, tuple[str, ...]] = {}
        self._shared: dict[Any, Any] = {}

    def make(
        self, image: str, label: str | tuple[str, ...], split: str, group: str, slices: Iterable[tuple[str, str]]
    ) -> Row:
        """Returns a row.

        Args:
            image: The image as the manifest names it.
            label: Its classes as a cell holds them, or as names that have been checked.
            split: The split as the manifest names it, or "".
            group: The group, or "".
            slices: The other attributes, sorted by name, none of them empty.

        Raises:
            UsageError: If one of them is not valid.
        """
        if not image.strip():
            raise UsageError("the row does not name an image; add its path, or remove the row")
        group = group.strip()  # otherwise "p1 " would be another patient
        address, share = self._resolve(image), self._shared.setdefault
        labels = self._parsed(label) if isinstance(label, str) else share(label, label)
        together = tuple([share(pair, pair) for pair in slices])
        return Row(address, labels, _split(split) if split else "", share(group, group), share(together, together))

    def _parsed(self, text: str) -> tuple[str, ...]:
        labels = self._labels.get(text)
        if labels is None:
            labels = self._labels[text] = parse_labels(text)
        return labels


def _split(text: str) -> str:
    name = text.strip().lower()
    if not name:
        return ""
    split = SPLITS.get(name, split_of(text))
    if split is None:
        raise UsageError(f"{text!r} is not a split; write train, validation or test, or leave it empty")
    return split


def error_at(manifest: str, line: int, what: object) -> UsageError:
    """Returns the error for a line of a manifest."""
    return UsageError(f"{manifest}, line {line}: {what}")
