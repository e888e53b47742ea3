"""dataset.html: the dataset as a page, to spot by eye what numbers do not show."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.convert import pictures
from components.convert.account import recorded_images
from components.convert.plan import Plan
from components.convert.shard import ShardResult
from petalflow import __version__, storage
from petalflow.dataset import BINS, PAGE_FILE, Summary
from petalflow.document import render
from petalflow.source import IGNORED, Listing, Reject

# Size of a chart, in units of its SVG view box.
WIDTH, HEIGHT = 240, 80
_TITLES = {
    "short_side_px": "Shorter side (px)",
    "long_side_px": "Longer side (px)",
    "aspect": "Aspect ratio (width : height)",
    "brightness": "Brightness",
    "red": "Red",
    "green": "Green",
    "blue": "Blue",
}
# The bin of square images. There are five bins per doubling of the aspect ratio.
_SQUARE = len(BINS["aspect"]) // 2
_SHAPES = {_SQUARE - 10: "1:4", _SQUARE - 5: "1:2", _SQUARE: "1:1", _SQUARE + 5: "2:1", _SQUARE + 10: "4:1"}


@dataclass(frozen=True)
class Bar:
    """The bar of one bin.

    Attributes:
        x, width, height: Position and size; the bar stands on the axis.
        title: Tooltip.
    """

    x: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Chart:
    """A histogram.

    Attributes:
        name: Name of the histogram in `BINS`.
        title: Title for people.
        note: A remark on the whole histogram, or "".
        bars: The bars, from left to right.
        ticks: Position and text of each tick of the axis.
    """

    name: str
    title: str
    note: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]


def make_charts(statistics: Mapping[str, Any]) -> list[Chart]:
    """Returns the histograms of all images of a dataset; an empty list if it has no images."""
    whole = Summary()
    for of_class in statistics["summaries"].values():
        for summary in of_class.values():
            whole.merge(Summary.from_json(summary))
    return [_chart(name, whole) for name in BINS] if whole.images else []


def _chart(name: str, summary: Summary) -> Chart:
    counts = summary.histogram(name)
    first, end = _shown_bins(name, counts)
    step = WIDTH / (end - first)
    bars = (
        Bar(
            x=round((place - first) * step, 1),
            width=round(step - 1, 1),
            height=round(max(1, HEIGHT * counts[place] / max(counts)), 1),  # one of thousands stays visible
            title=f"{_range(name, place)}: {counts[place]:,} images",
        )
        for place in range(first, end)
        if counts[place]
    )
    ticks = ((round((at - first) * step, 1), text) for at, text in _ticks(name, first, end))
    return Chart(name, _TITLES[name], _note(name, summary), tuple(bars), tuple(ticks))


def _shown_bins(name: str, counts: tuple[int, ...]) -> tuple[int, int]:
    """Returns the range of bins to draw: all for colours, otherwise the non-empty ones and some around them."""
    if not name.endswith("_px") and name != "aspect":
        return 0, len(counts)
    filled = [place for place, count in enumerate(counts) if count]
    middle, reach = (_SQUARE, 6) if name == "aspect" else ((filled[0] + filled[-1]) // 2, 3)
    first, last = min(filled[0] - 1, middle - reach), max(filled[-1] + 1, middle + reach)
    return max(0, first), min(len(counts), last + 1)


def _ticks(name: str, first: int, end: int) -> Iterator[tuple[float, str]]:
    """Yields the positions of the ticks, in bins from the first bin of the histogram, and their texts."""
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
    return f"{edges[place - 1]:g} to {edges[place]:g}" if place < len(edges) else f"{edges[-1]:g} or more"


def _note(name: str, summary: Summary) -> str:
    if name == "short_side_px":
        return f"{summary.mean('width_px'):,.0f} × {summary.mean('height_px'):,.0f} px on average"
    return "" if name in ("long_side_px", "aspect") else f"mean {summary.mean(name):.0f} of 255"


PAGE = PAGE_FILE

# Limits of what the page lists; the files next to it have everything.
_MAX_CLASSES = 2000
_MAX_ADDRESSES = 50
_MAX_VALUES = 20
_MOST_COUNTED, _OTHERS = 1000, "(others)"


def write_page(
    root: Path,
    listing: Listing,
    plan: Plan,
    results: Sequence[ShardResult],
    rejects: Sequence[Reject],
    files: Mapping[str, str],
    statistics: Mapping[str, Any],
    shards: str | None = None,
) -> None:
    """Writes the page; equal datasets give equal bytes.

    Args:
        root: The dataset's folder with the indexes and the rejects.
        listing: The listing of the source.
        plan: The plan of the shards.
        results: The outcomes of the shards, in the same order.
        rejects: All rejects.
        files: Address -> file name in the folder of rejects, for those that were copied.
        statistics: The dataset's statistics.
        shards: Address of the folder with the shards; None if that is `root`.
    """
    classes = listing.classes
    rows = _rows(classes, statistics["counts"])
    by_reason = _by_reason(rejects)
    listed = [reject for some in by_reason.values() for reject in some]
    html = render(
        __package__,
        f"{PAGE}.j2",
        statistics=statistics,
        kind=listing.kind,
        multi_label=listing.multi_label,
        class_count=len(classes),
        rows=rows[:_MAX_CLASSES],
        by_size=sorted(rows, key=lambda row: int(row["sum"])),
        samples=pictures.sample_pictures(root, classes, plan, results, shards or str(root)),
        charts=make_charts(statistics),
        rejects=by_reason,
        reject_pictures=pictures.reject_pictures(root, listed, files),
        file_count=len(files),
        duplicates=list(_duplicates(plan)),
        left_out=Counter(label for item in plan.left_out for label in item.labels).most_common(_MAX_ADDRESSES),
        slices=_slices(listing, plan, results),
        groups=_groups(listing, plan, results),
        ignored=statistics["ignored"],
        ignored_reasons=IGNORED,
        values=_MAX_VALUES,
        most=_MOST_COUNTED,
        version=__version__,
    )
    storage.write_bytes(str(root / PAGE), html.encode())


def _rows(classes: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """Returns the number of images of each class in each split, and its ratio to the largest class of the split."""
    largest = {split: max(1, *by_class.values()) for split, by_class in counts.items()}
    return [
        {
            "name": name,
            "cells": [
                (by_class[name], round(by_class[name] / largest[split], 3)) for split, by_class in counts.items()
            ],
            "sum": sum(by_class[name] for by_class in counts.values()),
        }
        for name in classes
    ]


def _by_reason(rejects: Sequence[Reject]) -> dict[str, list[Reject]]:
    """Returns the first rejects for each reason."""
    found: dict[str, list[Reject]] = defaultdict(list)
    for reject in rejects:
        if len(found[reject.reason]) < _MAX_ADDRESSES:
            found[reject.reason].append(reject)
    return dict(sorted(found.items()))


def _duplicates(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yields the addresses of the first duplicates and of the images kept in their place."""
    some = plan.duplicates[:_MAX_ADDRESSES]
    wanted = {item.sha256 for item in some}
    planned = (item for shard in plan.shards for item in shard.items) if some else ()
    kept = {item.sha256: item.address for item in planned if item.sha256 in wanted}
    for item in some:
        yield item.address, kept.get(item.sha256, "")


def _slices(listing: Listing, plan: Plan, results: Sequence[ShardResult]) -> dict[str, list[tuple[str, Any, int]]]:
    """Returns for each slice its values, the most frequent first: value, records per split, records in all splits."""
    names = listing.slice_names
    counts: dict[str, dict[str, Counter[str]]] = {name: defaultdict(Counter) for name in names}
    for recorded in recorded_images(plan, results) if names else ():
        slices = dict(recorded.item.slices)
        for name in names:
            value = slices.get(name, "")
            # If almost every image has a different value, a list of them helps nobody: further ones count as one.
            known = value in counts[name] or len(counts[name]) < _MOST_COUNTED
            counts[name][value if known else _OTHERS][plan.shards[recorded.shard].split] += 1
    return {
        name: sorted(
            ((value, by_split, by_split.total()) for value, by_split in values.items()),
            key=lambda row: (-row[2], row[0]),
        )
        for name, values in counts.items()
    }


def _groups(listing: Listing, plan: Plan, results: Sequence[ShardResult]) -> dict[str, tuple[int, int]]:
    """Returns for each split its number of groups and the number of records of the largest; empty without groups."""
    if not any(item.group for item in listing.items):
        return {}
    sizes: dict[str, Counter[str]] = defaultdict(Counter)
    for recorded in recorded_images(plan, results):
        if recorded.item.group:
            sizes[plan.shards[recorded.shard].split][recorded.item.group] += 1
    return {split: (len(by_group), max(by_group.values())) for split, by_group in sizes.items()}
