"""Answering only where the best score is high enough: how many images are answered, and how many of those rightly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from petalflow.verdict import clopper_pearson_lower


@dataclass(frozen=True)
class Abstention:
    """The best scores of images, and whether they are right.

    Attributes:
        confidence: Best score of each, [n], 0..1.
        correct: True where it is the true class's, [n].
    """

    confidence: NDArray[np.float32]
    correct: NDArray[np.bool_]

    def at(self, threshold: float) -> tuple[int, int]:
        """Returns how many images are answered, their best score being `threshold` or more, and how many rightly."""
        answered = self.confidence >= np.float32(threshold)
        return int(answered.sum()), int((answered & self.correct).sum())

    def curve(self) -> list[tuple[float, int, int]]:
        """Returns threshold, answered and right for each threshold that makes a difference, ascending."""
        order = np.argsort(self.confidence, kind="stable")
        confidence = self.confidence[order]
        right = np.cumsum(self.correct[order][::-1])[::-1]
        firsts = np.flatnonzero(np.diff(confidence, prepend=np.float32(-1)))  # of equal scores, the first
        return [(float(confidence[at]), len(confidence) - int(at), int(right[at])) for at in firsts]

    def threshold_for(self, accuracy: float) -> float | None:
        """Returns the least threshold at which what is answered is right so often, by the lower 95 % bound.

        Args:
            accuracy: Wanted of what is answered, 0..1.

        Returns:
            None if no threshold reaches it on so few images.
        """
        reached = (
            threshold
            for threshold, answered, right in self.curve()
            if right >= accuracy * answered and clopper_pearson_lower(right, answered) >= accuracy
        )
        return next(reached, None)
