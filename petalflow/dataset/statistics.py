"""Statistics of images: the size and mean colours of one, and a summary of many.

A summary consists of fixed bins and integer sums. Summaries of parts therefore add up exactly to the summary of the
whole, in any order, and the summaries of two datasets can be compared bin by bin.
"""

import itertools
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_COLOURS = tuple(float(8 * step) for step in range(1, 32))
# Powers of two, and 1.5 times each: 8, 12, 16, 24, ... 16384.
_SIDES = tuple(float(2**power * half // 2) for power in range(3, 15) for half in (2, 3))[:-1]
# Five bins per doubling, symmetric about 1:1, so 1:1, 4:3, 3:2 and 16:9 fall into different bins
_WIDE = tuple(round(2 ** (step / 10), 4) for step in range(1, 24, 2))

BINS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "short_side_px": _SIDES,
        "long_side_px": _SIDES,
        "aspect": (*(round(1 / edge, 4) for edge in reversed(_WIDE)), *_WIDE),
        "brightness": _COLOURS,
        "red": _COLOURS,
        "green": _COLOURS,
        "blue": _COLOURS,
    }
)
"""Name of a histogram -> its inner edges, ascending. A value on an edge belongs to the bin above it; the first and the
last bin are open-ended. Sides are in pixels, "aspect" is width / height, "brightness" and the colours are means over an
image, 0..255."""

# Also summed: sides in pixels, channel means in hundredths.
_SUMMED = ("width_px", "height_px", "red", "green", "blue")


@dataclass(frozen=True, slots=True)
class ImageStatistics:
    """Size and mean colours of one image.

    Attributes:
        width_px: Width of the upright image.
        height_px: Height of the upright image.
        red, green, blue: Mean of each channel over a reduced decode, 0..255, rounded to hundredths.
    """

    width_px: int
    height_px: int
    red: float
    green: float
    blue: float


@dataclass
class Summary:
    """A summary of many images, made of sums and counts that can be added up.

    Attributes:
        images: Number of images.
        pixels: Number of pixels of all images.
    """

    images: int = 0
    pixels: int = 0
    _sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_SUMMED, 0))
    _counts: dict[str, list[int]] = field(
        default_factory=lambda: {name: [0] * (len(edges) + 1) for name, edges in BINS.items()}
    )

    def add(self, image: ImageStatistics) -> None:
        """Adds one image."""
        width, height = image.width_px, image.height_px
        red, green, blue = round(100 * image.red), round(100 * image.green), round(100 * image.blue)
        self.images += 1
        self.pixels += width * height
        for name, value in zip(_SUMMED, (width, height, red, green, blue), strict=True):
            self._sums[name] += value
        short, long = (width, height) if width < height else (height, width)
        brightness = _brightness(red, green, blue)
        values = (short, long, width / height, brightness, red / 100, green / 100, blue / 100)
        for (name, edges), at in zip(BINS.items(), values, strict=True):
            self._counts[name][bisect_right(edges, at)] += 1

    def merge(self, other: "Summary") -> None:
        """Adds the images of another summary."""
        self.images += other.images
        self.pixels += other.pixels
        for name, total in other._sums.items():
            self._sums[name] += total
        for name, counts in other._counts.items():
            self._counts[name] = [count + more for count, more in zip(self._counts[name], counts, strict=True)]

    def histogram(self, name: str) -> tuple[int, ...]:
        """Returns the number of images in each bin of `BINS[name]`: one bin more than edges."""
        return tuple(self._counts[name])

    def mean(self, name: str) -> float:
        """Returns the mean over all images, each with the same weight.

        Args:
            name: "brightness", "red", "green" or "blue", 0..255; "width_px" or "height_px".

        Raises:
            ValueError: If there are no images.
        """
        if not self.images:
            raise ValueError("the summary has no images")
        if name == "brightness":
            return _brightness(*(self._sums[colour] for colour in ("red", "green", "blue"))) / self.images
        return self._sums[name] / (1 if name.endswith("_px") else 100) / self.images

    def middle(self, name: str) -> tuple[float, float]:
        """Returns the edges of the bin that holds the median; 0 and infinity are the outer edges.

        Args:
            name: The name of a histogram.

        Raises:
            ValueError: If there are no images.
        """
        if not self.images:
            raise ValueError("the summary has no images")
        edges = (0.0, *BINS[name], math.inf)
        reached = itertools.accumulate(self._counts[name])
        at = next(index for index, count in enumerate(reached) if 2 * count >= self.images)
        return edges[at], edges[at + 1]

    def to_json(self) -> dict[str, Any]:
        """Returns the summary as a JSON value; equal summaries give equal values.

        A histogram is a string such as "10: 3 0 4": the index of the first non-empty bin, then the counts up to the
        last non-empty bin. The "sums" of the colours are in hundredths.
        """
        if not self.images:
            return {"images": 0}
        histograms = {name: _to_text(counts) for name, counts in self._counts.items()}
        return {"images": self.images, "pixels": self.pixels, "sums": dict(self._sums), "histograms": histograms}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Summary":
        """Returns the summary that `to_json` represents."""
        summary = cls(value["images"])
        if summary.images:
            summary.pixels = value["pixels"]
            summary._sums = {name: value["sums"][name] for name in _SUMMED}
            summary._counts = {name: _from_text(value["histograms"][name], len(BINS[name]) + 1) for name in BINS}
        return summary


def _brightness(red: int, green: int, blue: int) -> float:
    """Returns the perceived brightness of a colour given in hundredths, 0..255 (luma of ITU-R BT.601)."""
    return (299 * red + 587 * green + 114 * blue) / 100_000  # integer arithmetic, so the same on every machine


def _to_text(counts: list[int]) -> str:
    filled = [index for index, count in enumerate(counts) if count]
    first, last = filled[0], filled[-1]
    return f"{first}: {' '.join(map(str, counts[first : last + 1]))}"


def _from_text(text: str, bins: int) -> list[int]:
    first, _, filled = text.partition(": ")
    counts = [0] * int(first) + [int(count) for count in filled.split()]
    return counts + [0] * (bins - len(counts))
