"""A listing of a source as it is now, and its fingerprint. Bytes are hashed, pixels are not decoded."""

import hashlib
from dataclasses import dataclass

from petalflow.errors import PetalflowError

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Item:
    """One labelled image of a source.

    Attributes:
        address: Where it is, relative to the source; `file#3` is the fourth image inside a file.
        label: Its class, by name.
        sha256: Hash of its content: the file's bytes, or the pixels where a file holds many images.
        size_bytes: Size of that content.
        split: "train", "validation" or "test" if the source says so, else None.
        group: What must not be torn apart by a split (a patient, a burst of shots), else None.
    """

    address: str
    label: str
    sha256: str
    size_bytes: int
    split: str | None = None
    group: str | None = None


def changed(item: Item) -> PetalflowError:
    """Returns the error for an image that is no longer as it was listed."""
    return PetalflowError(f"{item.address} changed while the source was read; run again when nothing writes to it")


@dataclass(frozen=True)
class Listing:
    """All images of a source.

    Attributes:
        kind: What the source is: "class folders" or "IDX files".
        items: Its images, sorted by address.
        ignored: Addresses of files that belong to no class (a licence, hidden files).
    """

    kind: str
    items: tuple[Item, ...]
    ignored: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, sorted."""
        return tuple(sorted({item.label for item in self.items}))

    @property
    def fingerprint(self) -> str:
        """A hash of every address, label, split, group and content: equal when nothing changed."""
        digest = hashlib.sha256()
        for item in self.items:
            parts = (item.address, item.label, item.sha256, item.split or "", item.group or "")
            digest.update("\x1f".join(parts).encode() + b"\x1e")
        return digest.hexdigest()
