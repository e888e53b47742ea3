"""Files of a source that are no images of it, by the reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from petalflow.printable import printable
from petalflow.source.outline import may_be_image
from petalflow.source.tree import is_hidden

HIDDEN, NOT_AN_IMAGE, NO_CLASS = "hidden", "not_an_image", "no_class"
# Reason -> the reason in words.
IGNORED = {
    NO_CLASS: "neither a folder, a file name nor a table gives their class",
    NOT_AN_IMAGE: "not an image by their ending",
    HIDDEN: "hidden, or left behind by a system",
}


@dataclass(frozen=True)
class Ignored:
    """Files that were ignored for one reason.

    Attributes:
        count: Their number.
        example: The first, by address, as one line to show.
    """

    count: int
    example: str


def count_ignored(names: Sequence[str]) -> dict[str, Ignored]:
    """Returns the ignored files of a listing by reason, without reasons that do not occur."""
    found: dict[str, list[str]] = {reason: [] for reason in IGNORED}
    for name in names:
        found[_reason(name)].append(name)
    return {reason: Ignored(len(some), printable(min(some))) for reason, some in found.items() if some}


def _reason(name: str) -> str:
    if is_hidden(name):
        return HIDDEN
    return NO_CLASS if may_be_image(name) else NOT_AN_IMAGE
