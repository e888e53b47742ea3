"""Histograms of a dataset's images, as bars to be drawn."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from petalflow.dataset import BINS, Summary

# In units of the drawing.
WIDTH, HEIGHT = 240, 80
_TITLES = {
    "short_side_px": "Shorter side, px",
    "long_side_px": "Longer side, px",
    "aspect": "Width to height",
    "brightness": "Brightness",
    "red": "Red",
    "green": "Green",
    "blue": "Blue",
}
# Bins of the aspect are a fifth of a doubling wide, and square images are in the middle of this one.
_SQUARE = len(BINS["aspect"]) // 2
_SHAPES = {_SQUARE - 10: "1:4", _SQUARE - 5: "1:2", _SQUARE: "1:1", _SQUARE + 5: "2:1", _SQUARE + 10: "4:1"}


@dataclass(frozen=True)
class Bar:
    """A bin's bar.

    Attributes:
        x, width, height: Where it is drawn; it stands on the axis.
        title: What it says when pointed at.
    """

    x: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Chart:
    """A histogram.

    Attributes:
        name: The histogram's.
        title: For people.
        note: What is to be said of the whole.
        bars: Its bars, from the left.
        ticks: Where on the axis there is what text.
    """

    name: str
    title: str
    note: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]


def charts(statistics: Mapping[str, Any]) -> list[Chart]:
    """Returns the histograms of all images of a dataset together; none if there are no images."""
    whole = Summary()
    for of_class in statistics["summaries"].values():
        for summary in of_class.values():
            whole.merge(Summary.from_json(summary))
    return [_chart(name, whole) for name in BINS] if whole.images else []


def _chart(name: str, summary: Summary) -> Chart:
    counts = summary.histogram(name)
    first, end = _shown(name, counts)
    step = WIDTH / (end - first)
    bars = (
        Bar(
            x=round((place - first) * step, 1),
            width=round(step - 1, 1),
            height=round(max(1, HEIGHT * counts[place] / max(counts)), 1),  # one image among thousands shows too
            title=f"{_range(name, place)}: {counts[place]:,} images",
        )
        for place in range(first, end)
        if counts[place]
    )
    ticks = ((round((at - first) * step, 1), text) for at, text in _ticks(name, first, end))
    return Chart(name, _TITLES[name], _note(name, summary), tuple(bars), tuple(ticks))


def _shown(name: str, counts: tuple[int, ...]) -> tuple[int, int]:
    """Returns the first bin to be drawn and the one behind the last: of colours all, else what is filled and about."""
    if not name.endswith("_px") and name != "aspect":
        return 0, len(counts)
    filled = [place for place, count in enumerate(counts) if count]
    middle, reach = (_SQUARE, 6) if name == "aspect" else ((filled[0] + filled[-1]) // 2, 3)
    first, last = min(filled[0] - 1, middle - reach), max(filled[-1] + 1, middle + reach)
    return max(0, first), min(len(counts), last + 1)


def _ticks(name: str, first: int, end: int) -> Iterator[tuple[float, str]]:
    """Yields places on the axis, counted in bins from the first there is, and what to write there."""
    if name == "aspect":
        yield from ((place + 0.5, text) for place, text in _SHAPES.items() if first <= place < end)
    elif name.endswith("_px"):
        every = 2 if end - first <= 14 else 4  # powers of two
        yield from ((place + 1, f"{BINS[name][place]:g}") for place in range(0, end - 1, every) if place >= first)
    else:
        yield from ((place + 1, f"{BINS[name][place]:g}") for place in (7, 15, 23))


def _range(name: str, place: int) -> str:
    edges = BINS[name]
    if place == 0:
        return f"below {edges[0]:g}"
    return f"{edges[place - 1]:g} to {edges[place]:g}" if place < len(edges) else f"{edges[-1]:g} and more"


def _note(name: str, summary: Summary) -> str:
    if name == "short_side_px":
        return f"{summary.mean('width_px'):,.0f} × {summary.mean('height_px'):,.0f} on average"
    return "" if name in ("long_side_px", "aspect") else f"{summary.mean(name):.0f} of 255 on average"
