"""What a comparison with the live release can show on a given number of test images, and the margin that suits it.

A candidate passes if its test images rule out a loss larger than the margin. On few images hardly anything is ruled
out: with a margin of 0.05 and 61 images, only one in four candidates as good as the release passes. The margin for so
few images is therefore larger, which accepts larger losses; both are stated in every verdict.
"""

import functools
from dataclasses import dataclass

from petalflow.verdict.power import power_of_accuracy_drop, power_of_min

# The margin on many images, and the largest one on few.
MIN_MARGIN, MAX_MARGIN = 0.05, 0.2
# The share of images on which exactly one of two models is correct, assumed before they are compared. The margin must
# not follow from the share that was found: a worse candidate differs more often and would widen its own margin.
USUAL_DISCORDANT = 0.1
ENOUGH_POWER = 0.8
# From here on, MIN_MARGIN has enough power.
_MANY_IMAGES = 300
_STEPS = 100  # margins, losses and thresholds are whole percents


@dataclass(frozen=True)
class ComparisonOdds:
    """What a comparison can show.

    Attributes:
        images: Number of test images on which the two models are compared.
        margin: The tolerated drop in accuracy, 0..1.
        equal_accepted: How likely a candidate exactly as accurate as the release passes, 0..1.
        detected_loss: The smallest true loss of accuracy that is refused in four of five runs, 0..1; None if even
            a candidate that is always wrong passes more often.
    """

    images: int
    margin: float
    equal_accepted: float
    detected_loss: float | None


@functools.lru_cache(maxsize=1 << 10)
def accuracy_margin(images: int) -> float:
    """Returns the tolerated drop in accuracy for a number of test images, 0.05 to 0.2 in whole percents.

    This is the smallest one at which a candidate exactly as accurate as the release passes in four of five runs, if
    exactly one of the two is correct on a tenth of the images; the largest one if none suffices.

    Args:
        images: Number of test images on which the two models are compared, 0 or more.
    """
    steps = range(round(_STEPS * MIN_MARGIN), round(_STEPS * MAX_MARGIN))
    enough = (
        step / _STEPS
        for step in steps
        if images >= _MANY_IMAGES or power_of_accuracy_drop(images, step / _STEPS, USUAL_DISCORDANT) >= ENOUGH_POWER
    )
    return next(enough, MAX_MARGIN)


def comparison_odds(images: int, margin: float | None = None, discordant: float = USUAL_DISCORDANT) -> ComparisonOdds:
    """Returns what a comparison with the live release can show.

    Args:
        images: Number of test images on which the two models are compared, 1 or more.
        margin: The tolerated drop in accuracy, 0..1; None for `accuracy_margin`.
        discordant: The share of images on which exactly one of two equally good models is correct, 0..1.

    Raises:
        ValueError: If an argument is out of range.
    """
    margin = accuracy_margin(images) if margin is None else margin

    def accepted(loss: float) -> float:
        # A model that is worse by `loss` differs at least that often.
        return power_of_accuracy_drop(images, margin, max(discordant, loss), -loss)

    low, high = 0, _STEPS  # bisection: the larger the loss, the less often it is accepted
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if accepted(middle / _STEPS) <= 1 - ENOUGH_POWER else (middle + 1, high)
    detected = low / _STEPS if accepted(low / _STEPS) <= 1 - ENOUGH_POWER else None
    return ComparisonOdds(images, margin, accepted(0.0), detected)


def supported_threshold(accuracy: float, images: int, power: float = ENOUGH_POWER) -> float:
    """Returns the highest threshold, in whole percents, that a model passes with a probability of `power`.

    Args:
        accuracy: The model's true accuracy (or recall), 0..1.
        images: Number of test images, 0 or more.
        power: The required probability, 0..1.

    Raises:
        ValueError: If an argument is out of range.
    """
    thresholds = (step / _STEPS for step in range(_STEPS, 0, -1))
    return next((one for one in thresholds if power_of_min(accuracy, images, one) >= power), 0.0)
