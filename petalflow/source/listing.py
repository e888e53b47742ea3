"""A listing of a source as it is now, and its fingerprint. Bytes are hashed, pixels are not decoded."""

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from petalflow.errors import PetalflowError, UsageError


@dataclass(frozen=True, slots=True)
class Item:
    """A labelled image of a source.

    Attributes:
        address: Its path below the source; `file#3` is the fourth image inside a file.
        labels: The names of its classes, sorted; one, unless the source is multi-label.
        sha256: Hash of its content: the file's bytes, or the pixels where a file holds many images.
        size_bytes: Size of that content.
        split: "train", "validation" or "test" if the source names it, else None.
        group: Images of one group (a patient, a burst of shots) stay in one split; None if there is none.
        slices: Its other attributes, name and value, sorted by name.
    """

    address: str
    labels: tuple[str, ...]
    sha256: str
    size_bytes: int
    split: str | None = None
    group: str | None = None
    slices: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """The image's classes as one text, as a manifest writes them: `cat` or `cat|dog`."""
        return "|".join(self.labels)

    def to_line(self) -> str:
        """Returns the item as a line of JSON, without its end."""
        return json.dumps(
            [self.address, self.labels, self.sha256, self.size_bytes, self.split, self.group, self.slices],
            ensure_ascii=False,
        )

    @classmethod
    def from_line(cls, line: str) -> "Item":
        """Returns the item that `to_line` wrote."""
        address, labels, sha256, size_bytes, split, group, slices = json.loads(line)
        return cls(address, tuple(labels), sha256, size_bytes, split, group, tuple(map(tuple, slices)))


@dataclass(frozen=True)
class Reject:
    """An image that was rejected.

    Attributes:
        address: Its path below the source.
        label: Its classes, as `Item.label` writes them.
        reason: A stable code.
        sentence: What is wrong with it.
    """

    address: str
    label: str
    reason: str
    sentence: str


def changed(item: Item) -> PetalflowError:
    """Returns the error for an image that has changed since it was listed."""
    return PetalflowError(f"{item.address} changed while the source was read; run again when nothing writes to it")


@dataclass(frozen=True)
class Listing:
    """All images of a source.

    Attributes:
        kind: What the source is, for users: "class folders", "a manifest", ...
        items: Its images, sorted by address.
        ignored: Addresses of files that belong to no class (a licence, hidden files).
        rejects: Images that the source names but that cannot be read (a manifest's missing file), sorted by address.
        multi_label: True if an image may have several classes.
    """

    kind: str
    items: tuple[Item, ...]
    ignored: tuple[str, ...] = ()
    rejects: tuple[Reject, ...] = ()
    multi_label: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, sorted, including those of which no image could be read."""
        rejected = {label for reject in self.rejects for label in self.reject_labels(reject)}
        return tuple(sorted(rejected.union(*(item.labels for item in self.items))))

    def reject_labels(self, reject: Reject) -> list[str]:
        """Returns the classes of a reject; none if it was rejected for having no label."""
        return list(filter(None, reject.label.split("|") if self.multi_label else [reject.label]))

    @property
    def slice_names(self) -> tuple[str, ...]:
        """The names of the images' other attributes, sorted."""
        return tuple(sorted({name for item in self.items for name, _ in item.slices}))

    @property
    def fingerprint(self) -> str:
        """A hash of each image's content and attributes: equal if and only if nothing changed."""
        digest = hashlib.sha256(b"multi-label\n" if self.multi_label else b"")
        for item in self.items:
            digest.update(item.to_line().encode() + b"\n")
        for reject in self.rejects:
            digest.update(json.dumps([reject.address, reject.label, reject.reason]).encode() + b"\n")
        return digest.hexdigest()


def check_classes(names: Iterable[str]) -> None:
    """Checks that class names are distinct, and can be written one per line.

    Raises:
        UsageError: If a name is empty, holds a line break, begins or ends with a blank, or differs from another only
            by case or in its Unicode composition.
    """
    same: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        if not name.strip() or len(name.splitlines()) != 1:  # U+2028 too: readers of names may break lines there
            raise UsageError(f"{name!r} is not a valid class name; it must be text on one line")
        if name != name.strip():  # readers of names, one per line, strip them
            raise UsageError(f"class {name!r} begins or ends with whitespace; rename it")
        same[unicodedata.normalize("NFC", name).casefold()].append(name)
    for alike in same.values():
        if len(alike) > 1:
            how = "by case" if len({unicodedata.normalize("NFC", name) for name in alike}) > 1 else "in their encoding"
            raise UsageError(f"classes {' and '.join(alike)} differ only {how}; use one name for both")
