"""The report's charts: accuracy against coverage, the reliability diagram, and where their points are drawn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.evaluate.abstention import Abstention
from petalflow.metrics.metrics import Proportion
from petalflow.verdict import wilson_interval

# More of them nobody tells apart.
_MOST_POINTS = 400


@dataclass(frozen=True)
class Point:
    """What a threshold gives.

    Attributes:
        threshold: Predictions of a lower score are held back, 0..1.
        answered: How many images are answered.
        correct: How many of these rightly.
        images: How many images there are.
    """

    threshold: float
    answered: int
    correct: int
    images: int

    @property
    def share(self) -> float:
        """Of the images, what is answered, 0..1."""
        return self.answered / self.images

    @property
    def accuracy(self) -> float | None:
        """Of what is answered, 0..1; None where nothing is."""
        return self.correct / self.answered if self.answered else None

    @property
    def interval(self) -> tuple[float, float]:
        """Two-sided 95 % interval of that accuracy (Wilson)."""
        return wilson_interval(self.correct, self.answered)


@dataclass(frozen=True)
class Coverage:
    """The thresholds that make a difference.

    Attributes:
        points: Ascending by threshold; at the first everything is answered.
        released: Index of the release's threshold.
    """

    points: Sequence[Point]
    released: int

    @classmethod
    def of(cls, abstention: Abstention, threshold: float, most: int = _MOST_POINTS) -> "Coverage":
        """Returns them evenly thinned out, where there are more than `most`; and the release's.

        Args:
            abstention: The best scores, and whether they are right.
            threshold: The release's, 0..1.
            most: How many besides the release's, 2 or more.
        """
        images = len(abstention.correct)
        curve = abstention.curve()
        kept = np.unique(np.linspace(0, len(curve) - 1, min(most, len(curve))).astype(int))
        found = {at: Point(at, answered, right, images) for at, answered, right in (curve[index] for index in kept)}
        # Any threshold up to the lowest score does the same; 0 says it plainly.
        del found[curve[0][0]]
        found[0.0] = Point(0.0, *abstention.at(0.0), images)
        released = found[threshold] = Point(threshold, *abstention.at(threshold), images)
        points = sorted(found.values(), key=lambda point: point.threshold)
        return cls(points, points.index(released))

    def to_json(self) -> list[list[float]]:
        """Returns for each point its threshold, answered, right, and the ends of the interval."""
        return [[point.threshold, point.answered, point.correct, *point.interval] for point in self.points]


@dataclass(frozen=True)
class Frame:
    """A plot of values 0..1 across and `lowest`..1 upwards, in units of the drawing.

    Attributes:
        lowest: Value at the bottom, under 1.
        left: Where the plot begins.
        top: Where it ends upwards.
        width: Its width.
        height: Its height.
    """

    lowest: float = 0.0
    left: float = 44
    top: float = 10
    width: float = 340
    height: float = 210

    @classmethod
    def above(cls, values: Iterable[float]) -> "Frame":
        """Returns one whose bottom is the next whole tenth below all of the values."""
        tenths = np.ceil(10 * min(values, default=0.0) - 1e-9) - 1
        return cls(max(0.0, round(float(tenths) / 10, 1)))

    def x(self, value: float) -> float:
        """Returns where a value is across."""
        return round(self.left + self.width * value, 1)

    def y(self, value: float) -> float:
        """Returns where a value is upwards; at the bottom, if it is lower."""
        return round(self.top + self.height * (1 - max(value, self.lowest)) / (1 - self.lowest), 1)

    def line(self, points: Iterable[tuple[float, float]]) -> str:
        """Returns the points of a line, or of a polygon, as SVG writes them."""
        return " ".join(f"{self.x(x):g},{self.y(y):g}" for x, y in points)

    @property
    def ticks(self) -> list[float]:
        """The values upwards that are named."""
        step = 0.2 if self.lowest < 0.5 else 0.1 if self.lowest < 0.8 else 0.05
        return [round(float(value), 2) for value in np.arange(1, self.lowest - 1e-9, -step)]


def coverage_chart(coverage: Coverage) -> dict[str, Any]:
    """Returns the line of the accuracy over the share answered, and the band of its intervals."""
    shown = [point for point in coverage.points if point.answered]
    # The interval of everything has its place too; those of few images run out of the picture.
    frame = Frame.above([shown[0].interval[0], *(point.correct / point.answered for point in shown)])
    lower = [(point.share, point.interval[0]) for point in shown]
    upper = [(point.share, point.interval[1]) for point in shown]
    return {
        "frame": frame,
        "line": frame.line((point.share, point.correct / point.answered) for point in shown),
        "band": frame.line([*lower, *reversed(upper)]),
    }


def reliability_chart(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the lines of the share of right predictions over their confidence, bin by bin.

    Args:
        before: The bins of the predictions as the model gave them, as `Reliability.to_json` gives them.
        after: Those of the calibrated ones.
    """
    frame = Frame()
    return {"frame": frame, "before": _reliability(frame, before), "after": _reliability(frame, after)}


def _reliability(frame: Frame, bins: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rows = [{**one, **Proportion(one["right"], one["answers"]).to_json()} for one in bins]
    return {"line": frame.line((row["confidence"], row["value"]) for row in rows), "rows": rows}
