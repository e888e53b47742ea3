"""The report's charts: accuracy against coverage, the reliability diagram, and where their points are drawn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.evaluate.calibration import Abstention
from petalflow.metrics.metrics import Proportion
from petalflow.verdict import wilson_interval

# More points would be indistinguishable.
_MOST_POINTS = 400


@dataclass(frozen=True)
class Point:
    """The effect of an abstain threshold.

    Attributes:
        threshold: The model abstains below this score, 0..1.
        predicted: Number of images that it does not abstain on.
        correct: Number of these that are classified correctly.
        images: Number of test images.
    """

    threshold: float
    predicted: int
    correct: int
    images: int

    @property
    def share(self) -> float:
        """The coverage: the share of images that the model does not abstain on, 0..1."""
        return self.predicted / self.images

    @property
    def accuracy(self) -> float | None:
        """The accuracy on these images, 0..1; None if the model abstains on all."""
        return self.correct / self.predicted if self.predicted else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's two-sided 95 % interval of the accuracy."""
        return wilson_interval(self.correct, self.predicted)


@dataclass(frozen=True)
class Coverage:
    """Accuracy and coverage at every threshold that makes a difference.

    Attributes:
        points: Ascending by threshold; at the first the model never abstains.
        released: Index of the threshold of this model.
    """

    points: Sequence[Point]
    released: int

    @classmethod
    def of(cls, abstention: Abstention, threshold: float, most: int = _MOST_POINTS) -> "Coverage":
        """Returns the curve, thinned out evenly to at most `most` points plus the model's own threshold.

        Args:
            abstention: The top scores, and which predictions are correct.
            threshold: The threshold of this model, 0..1.
            most: The number of other points, at least 2.
        """
        images = len(abstention.correct)
        curve = abstention.curve()
        kept = np.unique(np.linspace(0, len(curve) - 1, min(most, len(curve))).astype(int))
        found = {
            at: Point(at, predicted, correct, images) for at, predicted, correct in (curve[index] for index in kept)
        }
        # Any threshold up to the lowest score has the same effect; show it as 0.
        del found[curve[0][0]]
        found[0.0] = Point(0.0, *abstention.at(0.0), images)
        released = found[threshold] = Point(threshold, *abstention.at(threshold), images)
        points = sorted(found.values(), key=lambda point: point.threshold)
        return cls(points, points.index(released))

    def to_json(self) -> list[list[float]]:
        """Returns threshold, predicted, correct and the ends of the interval for each point."""
        return [[point.threshold, point.predicted, point.correct, *point.interval] for point in self.points]


@dataclass(frozen=True)
class Frame:
    """A plot area with an x axis of 0..1 and a y axis of `lowest`..1, in SVG units.

    Attributes:
        lowest: Value at the bottom, below 1.
        left: Left edge.
        top: Top edge.
        width: Width.
        height: Height.
    """

    lowest: float = 0.0
    left: float = 44
    top: float = 10
    width: float = 340
    height: float = 210

    @classmethod
    def above(cls, values: Iterable[float]) -> "Frame":
        """Returns a frame whose bottom is the next whole tenth below all values."""
        tenths = np.ceil(10 * min(values, default=0.0) - 1e-9) - 1
        return cls(max(0.0, round(float(tenths) / 10, 1)))

    def x(self, value: float) -> float:
        """Returns the x coordinate of a value."""
        return round(self.left + self.width * value, 1)

    def y(self, value: float) -> float:
        """Returns the y coordinate of a value; the bottom for lower values."""
        return round(self.top + self.height * (1 - max(value, self.lowest)) / (1 - self.lowest), 1)

    def line(self, points: Iterable[tuple[float, float]]) -> str:
        """Returns the points of a line or polygon in SVG syntax."""
        return " ".join(f"{self.x(x):g},{self.y(y):g}" for x, y in points)

    @property
    def ticks(self) -> list[float]:
        """The labelled values of the y axis."""
        step = 0.2 if self.lowest < 0.5 else 0.1 if self.lowest < 0.8 else 0.05
        return [round(float(value), 2) for value in np.arange(1, self.lowest - 1e-9, -step)]


def coverage_chart(coverage: Coverage) -> dict[str, Any]:
    """Returns the line of accuracy against coverage, and the band of its intervals."""
    shown = [point for point in coverage.points if point.predicted]
    # Make room for the interval at full coverage; those of few images may exceed the frame.
    frame = Frame.above([shown[0].interval[0], *(point.correct / point.predicted for point in shown)])
    lower = [(point.share, point.interval[0]) for point in shown]
    upper = [(point.share, point.interval[1]) for point in shown]
    return {
        "frame": frame,
        "line": frame.line((point.share, point.correct / point.predicted) for point in shown),
        "band": frame.line([*lower, *reversed(upper)]),
    }


def reliability_chart(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the lines of a reliability diagram: accuracy against confidence, bin by bin.

    Args:
        before: The bins before calibration, as returned by `Reliability.to_json`.
        after: The bins after calibration.
    """
    frame = Frame()
    return {"frame": frame, "before": _reliability(frame, before), "after": _reliability(frame, after)}


def _reliability(frame: Frame, bins: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rows = [{**one, **Proportion(one["right"], one["answers"]).to_json()} for one in bins]
    return {"line": frame.line((row["confidence"], row["value"]) for row in rows), "rows": rows}
