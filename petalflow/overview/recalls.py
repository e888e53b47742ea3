"""Which classes got worse from one judged run to the next, by more than chance explains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The probability of naming any class if none got worse.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Fall:
    """A class whose recall fell.

    Attributes:
        name: The class.
        before: The number of its test images that the run before classified correctly.
        images_before: The number of its test images then.
        now: The number that this run classified correctly.
        images: The number of its test images.
    """

    name: str
    before: int
    images_before: int
    now: int
    images: int

    @property
    def recall_before(self) -> float:
        """The recall of the run before, 0..1."""
        return self.before / self.images_before

    @property
    def recall(self) -> float:
        """The recall of this run, 0..1."""
        return self.now / self.images


def find_falls(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Fall, ...]:
    """Returns the classes whose recall fell by more than chance explains, the largest fall first.

    Fisher's exact test, one-sided, with the correction of Holm (1979, Scandinavian Journal of Statistics 6, 65-70) for
    the number of classes. It takes the two sets of test images for independent ones; they mostly are the same images,
    on which falls are smaller by chance, so that fewer than 5 % of runs name a class that did not get worse.

    Args:
        before: Class -> recall in the run before, with "successes" and "trials".
        now: The same for this run.
    """
    from scipy import stats

    tested = []
    for name in before.keys() & now.keys():
        fall = Fall(
            name, before[name]["successes"], before[name]["trials"], now[name]["successes"], now[name]["trials"]
        )
        if fall.images and fall.images_before:
            # The probability of this few or fewer successes now, given the successes of both together.
            total, successes = fall.images + fall.images_before, fall.now + fall.before
            tested.append((float(stats.hypergeom.cdf(fall.now, total, successes, fall.images)), fall))
    tested.sort(key=lambda pair: (pair[0], pair[1].name))
    falls = []
    for rank, (p, fall) in enumerate(tested):
        if p > SIGNIFICANCE / (len(tested) - rank):
            break
        falls.append(fall)
    return tuple(sorted(falls, key=lambda fall: (fall.recall - fall.recall_before, fall.name)))
