"""The chart of the page: the accuracy of every judged run with its interval, in order, and where points are drawn."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from petalflow.overview.entry import Entry

# From an accuracy, 0..1, to where it is drawn.
Scale = Callable[[float], float]

# In SVG units, of which a line of text is 12 high.
WIDTH, HEIGHT = 860, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 14.0, 26.0, 44.0
# Labels of dates and of versions are at least this far apart.
_DATE_GAP, _VERSION_GAP = 110.0, 34.0
# With more points than this, intervals are drawn as a band: bars would touch.
_MOST_BARS = 60
_LARGEST_DOT, _SMALLEST_DOT = 5.0, 1.8


@dataclass(frozen=True)
class Point:
    """A judged run.

    Attributes:
        entry: The run.
        x: Where it is drawn.
        y: Where its accuracy is drawn.
        low: Where the lower end of its interval is drawn.
        high: Where the upper end is drawn.
        date: The date below the axis, or "" where there is no room.
        version: The version above the chart, or "".
    """

    entry: Entry
    x: float
    y: float
    low: float
    high: float
    date: str = ""
    version: str = ""


@dataclass(frozen=True)
class Chart:
    """The chart.

    Attributes:
        points: The judged runs, the oldest first.
        ticks: The labelled accuracies, 0..1, and where they are drawn.
        band: The polygon of the intervals in SVG syntax; "" if they are drawn as bars.
        required: The lines of the accuracy that the verdicts required, in SVG syntax.
        rollbacks: Where a rollback is drawn, and the versions that it published and copied.
        dot: The radius of a point.
    """

    points: Sequence[Point]
    ticks: Sequence[tuple[float, float]]
    band: str
    required: Sequence[str]
    rollbacks: Sequence[tuple[float, Entry]]
    dot: float

    @property
    def left(self) -> float:
        """The left edge of the plot."""
        return _LEFT

    @property
    def right(self) -> float:
        """The right edge of the plot."""
        return WIDTH - _RIGHT

    @property
    def top(self) -> float:
        """The upper edge of the plot."""
        return _TOP

    @property
    def bottom(self) -> float:
        """The lower edge of the plot."""
        return HEIGHT - _BOTTOM


def make_chart(entries: Sequence[Entry]) -> Chart | None:
    """Returns the chart of some runs, the oldest first; None if none of them was judged."""
    judged = [entry for entry in entries if entry.run.accuracy is not None]
    if not judged:
        return None
    lowest = _lowest(judged)
    step = (WIDTH - _LEFT - _RIGHT) / len(judged)

    def y(value: float) -> float:
        return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - max(value, lowest)) / (1 - lowest), 1)

    xs = [round(_LEFT + step * (index + 0.5), 1) for index in range(len(judged))]
    points = list(_label([_point(entry, x, y) for entry, x in zip(judged, xs, strict=True)]))
    bars = len(judged) <= _MOST_BARS
    return Chart(
        points=points,
        ticks=[(value, y(value)) for value in _ticks(lowest)],
        band="" if bars else _band(points),
        required=list(_required(judged, [(x - step / 2, x + step / 2) for x in xs], y)),
        rollbacks=list(_rollbacks(entries, step)),
        dot=round(min(_LARGEST_DOT, max(_SMALLEST_DOT, step / 3)), 1),
    )


def _lowest(judged: Sequence[Entry]) -> float:
    """Returns the accuracy at the bottom: the next whole tenth below all accuracies, and below most intervals."""
    lows = sorted(entry.run.interval[0] for entry in judged if entry.run.interval)
    # A run on few test images must not flatten all others.
    typical = lows[len(lows) // 10] if lows else 1.0
    values = [entry.run.accuracy for entry in judged if entry.run.accuracy is not None]
    required = [entry.run.min_accuracy for entry in judged if entry.run.min_accuracy is not None]
    return max(0.0, round((math.ceil(10 * min(typical, *values, *required, 0.99) - 1e-9) - 1) / 10, 1))


def _ticks(lowest: float) -> Iterator[float]:
    step = 0.2 if lowest < 0.5 else 0.1 if lowest < 0.8 else 0.05
    for count in range(math.floor((1 - lowest) / step + 1e-9) + 1):
        yield round(1 - count * step, 2)


def _point(entry: Entry, x: float, y: Scale) -> Point:
    accuracy = entry.run.accuracy or 0.0
    low, high = entry.run.interval or (accuracy, accuracy)
    return Point(entry, x, y(accuracy), y(low), y(high))


def _label(points: Sequence[Point]) -> Iterator[Point]:
    """Yields the points with the labels that have room; the newest always has its own."""
    # The date of the newest ends at its point, since there may be no room to the right.
    dates = _spread([*(point.x for point in points[:-1]), points[-1].x - _DATE_GAP / 3], _DATE_GAP)
    released = [index for index, point in enumerate(points) if point.entry.run.version is not None]
    shown = {released[at] for at in _spread([points[index].x for index in released], _VERSION_GAP)}
    for index, point in enumerate(points):
        run = point.entry.run
        date = f"{run.started_at:%Y-%m-%d}" if index in dates and run.started_at else ""
        version = f"v{run.version}" if index in shown else ""
        yield Point(point.entry, point.x, point.y, point.low, point.high, date, version)


def _spread(places: Sequence[float], gap: float) -> set[int]:
    """Returns the indices of places that are at least `gap` apart, from the last one back."""
    chosen: list[int] = []
    for index in reversed(range(len(places))):
        if not chosen or places[chosen[-1]] - places[index] >= gap:
            chosen.append(index)
    return set(chosen)


def _band(points: Sequence[Point]) -> str:
    corners = [(point.x, point.high) for point in points] + [(point.x, point.low) for point in reversed(points)]
    return " ".join(f"{x:g},{y:g}" for x, y in corners)


def _required(judged: Sequence[Entry], spans: Sequence[tuple[float, float]], y: Scale) -> Iterator[str]:
    """Yields a line for each stretch of runs with a required accuracy, with a step where it changed."""
    line: list[str] = []
    for entry, (start, end) in zip(judged, spans, strict=True):
        value = entry.run.min_accuracy
        if value is None:
            if line:
                yield " ".join(line)
            line = []
        else:
            line += [f"{start:.1f},{y(value):g}", f"{end:.1f},{y(value):g}"]
    if line:
        yield " ".join(line)


def _rollbacks(entries: Sequence[Entry], step: float) -> Iterator[tuple[float, Entry]]:
    """Yields the rollbacks, each between the runs judged before and after it."""
    judged = 0
    for entry in entries:
        if entry.run.rolled_back_from is not None:
            yield round(_LEFT + step * judged, 1), entry
        judged += entry.run.accuracy is not None
