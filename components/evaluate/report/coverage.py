"""How many images are answered at each threshold, and how many of these rightly: what the report's slider shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.evaluate.abstention import Abstention
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
