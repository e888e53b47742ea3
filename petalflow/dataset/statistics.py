"""What is known of a dataset's images without their pixels: of each one, and of many together."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Measure:
    """What one image is like.

    Attributes:
        width_px: Width as seen.
        height_px: Height as seen.
        red, green, blue: Mean of each channel over a reduced decode, 0..255, to a hundredth.
    """

    width_px: int
    height_px: int
    red: float
    green: float
    blue: float


@dataclass
class Summary:
    """What many images are like; sums and counts only, so that those of parts add up to that of the whole.

    Attributes:
        images: How many.
    """

    images: int = 0
    _counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, measure: Measure) -> None:
        """Counts one image more."""
        self.images += 1

    def merge(self, other: "Summary") -> None:
        """Counts all that another counted."""
        self.images += other.images

    def to_json(self) -> dict[str, Any]:
        """Returns it as a JSON value; equal summaries give equal values."""
        return {"images": self.images}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Summary":
        """Returns the summary that `to_json` wrote."""
        return cls(value["images"])
