"""What is known of a dataset's images without their pixels: of each one, and of many together.

Everything is kept in bins that never change and in sums of integers. So summaries of parts add up to exactly that
of the whole, in whatever order, and those of two datasets can be compared bin by bin.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_COLOURS = tuple(float(8 * step) for step in range(1, 32))
# Powers of two and one and a half times those: 8, 12, 16, 24, ... 16384.
_SIDES = tuple(float(2**power * half // 2) for power in range(3, 15) for half in (2, 3))[:-1]
# A fifth of a doubling apart and symmetric, so that 1:1, 4:3, 3:2 and 16:9 each have a bin, upright and lying.
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
"""Name of a histogram -> its inner edges, ascending; a value on an edge is in the bin above. The first bin has no lower
end and the last no upper one. Sides are in pixels, "aspect" is width / height; "brightness" and the colours are an
image's means, 0..255."""

# What is summed up beside: sides in pixels, means of the channels in hundredths.
_SUMMED = ("width_px", "height_px", "red", "green", "blue")


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
        pixels: In all of them.
    """

    images: int = 0
    pixels: int = 0
    _sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_SUMMED, 0))
    _counts: dict[str, list[int]] = field(
        default_factory=lambda: {name: [0] * (len(edges) + 1) for name, edges in BINS.items()}
    )

    def add(self, measure: Measure) -> None:
        """Counts one image more."""
        width, height = measure.width_px, measure.height_px
        red, green, blue = round(100 * measure.red), round(100 * measure.green), round(100 * measure.blue)
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
        """Counts all that another counted."""
        self.images += other.images
        self.pixels += other.pixels
        for name, total in other._sums.items():
            self._sums[name] += total
        for name, counts in other._counts.items():
            self._counts[name] = [mine + more for mine, more in zip(self._counts[name], counts, strict=True)]

    def histogram(self, name: str) -> tuple[int, ...]:
        """Returns how many images are in each bin of `BINS[name]`: one more than there are edges."""
        return tuple(self._counts[name])

    def mean(self, name: str) -> float:
        """Returns the mean over the images, each of which weighs the same.

        Args:
            name: "brightness", "red", "green" or "blue", 0..255; "width_px" or "height_px".

        Raises:
            ValueError: If there are no images.
        """
        if not self.images:
            raise ValueError("no images have no mean")
        if name == "brightness":
            return _brightness(*(self._sums[colour] for colour in ("red", "green", "blue"))) / self.images
        return self._sums[name] / (1 if name.endswith("_px") else 100) / self.images

    def to_json(self) -> dict[str, Any]:
        """Returns it as a JSON value; equal summaries give equal values.

        A histogram is a line of text, "10: 3 0 4": the first bin that is not empty, and the counts from there to the
        last that is not. "sums" of the colours are in hundredths.
        """
        if not self.images:
            return {"images": 0}
        histograms = {name: _to_text(counts) for name, counts in self._counts.items()}
        return {"images": self.images, "pixels": self.pixels, "sums": dict(self._sums), "histograms": histograms}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Summary":
        """Returns the summary that `to_json` wrote."""
        summary = cls(value["images"])
        if summary.images:
            summary.pixels = value["pixels"]
            summary._sums = {name: value["sums"][name] for name in _SUMMED}
            summary._counts = {name: _from_text(value["histograms"][name], len(BINS[name]) + 1) for name in BINS}
        return summary


def _brightness(red: int, green: int, blue: int) -> float:
    """Returns the brightness of a colour in hundredths, as the eye weighs it (ITU-R BT.601)."""
    return (299 * red + 587 * green + 114 * blue) / 100_000  # of integers, and so the same everywhere


def _to_text(counts: list[int]) -> str:
    filled = [place for place, count in enumerate(counts) if count]
    first, last = filled[0], filled[-1]
    return f"{first}: {' '.join(map(str, counts[first : last + 1]))}"


def _from_text(text: str, bins: int) -> list[int]:
    first, _, filled = text.partition(": ")
    counts = [0] * int(first) + [int(count) for count in filled.split()]
    return counts + [0] * (bins - len(counts))
