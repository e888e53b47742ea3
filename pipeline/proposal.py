"""What `petalflow init` proposes for a source: a network, a threshold, and what a run will take."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from components.train.probe import FirstLook
from components.validate.settings import ValidateSettings
from petalflow.model.choice import NetworkChoice
from petalflow.splits import TEST, TRAIN, VALIDATION
from petalflow.verdict.comparison import comparison_odds
from petalflow.verdict.power import images_for_min, power_of_min
from petalflow.verdict.wording import points
from pipeline.survey import Survey

# A model as good as the first look lets expect should pass in nine of ten runs.
_POWER = 0.9
_STEP = 0.05
_HIGHEST = 0.95
# The shares of a source for training and testing, if it does not assign splits itself.
_TRAINED, _TESTED = 0.8, 0.1
# Seconds of a run that do not depend on the number of images, in starts of TensorFlow: flowers by frozen MobileNetV2
# took 73 s on two cores whose TensorFlow started in 5 s, 18 s of which depended on the 1,600 photos.
_STARTS = 11
_START_S = 5.0
# Features are computed once for training and validation images; evaluate predicts validation and test images, with
# two models once there is a release, and export the test images once more.
_PASSES = {TRAIN: 1, VALIDATION: 3, TEST: 3}
# What else an image takes: reading, hashing, checking and writing it, and near-duplicates. In seconds.
_OTHER_S = 0.008
_TENSORFLOW_GB = 1.5
_FEATURE_BYTES = 4 * 1280


@dataclass(frozen=True)
class Proposal:
    """What is proposed for a source.

    Attributes:
        network: The network.
        threshold: The accuracy that a model must reach; None if no threshold suits.
        power: How likely a model is accepted that is as good as the first look lets expect, 0..1; None without one.
        needed: Test images with which such a model would be accepted in nine of ten runs, if there are fewer.
        minutes: How long a run takes on this machine; None if unknown.
        memory_gb: How much memory it takes, at least.
    """

    network: NetworkChoice
    threshold: float | None
    power: float | None
    needed: int | None
    minutes: float | None
    memory_gb: float


def propose(found: Survey, network: NetworkChoice, look: FirstLook | None) -> Proposal:
    """Returns what suits a source.

    Args:
        found: What the source holds.
        network: The network that suits it.
        look: What a first look at some of its images told; None if there was none.
    """
    images = found.sizes.get(TEST, 0)
    expected = look.accuracy if look else None
    threshold = _threshold(expected, images, found.largest_share)
    power = power_of_min(expected, images, threshold) if expected is not None and threshold is not None else None
    needed = None
    if expected is not None and (power or 0) < _POWER:
        aim = (
            threshold if threshold is not None and threshold < expected else _round_down((1 + found.largest_share) / 2)
        )
        needed = images_for_min(expected, aim, _POWER) if aim < expected else None
    return Proposal(network, threshold, power, needed, _minutes(found, look), _memory_gb(found))


def _threshold(expected: float | None, images: int, constant: float) -> float | None:
    """Returns the highest threshold, in steps of 5 %, that a model of the expected accuracy passes nine times in ten.

    None if that would not be more than always predicting the most common class.
    """
    if expected is None:
        return None
    steps = [step * _STEP for step in range(round(_HIGHEST / _STEP), 0, -1)]
    passing = (step for step in steps if step < expected and power_of_min(expected, images, step) >= _POWER)
    threshold = next(passing, None)
    return round(threshold, 2) if threshold is not None and threshold > constant else None


def _round_down(share: float) -> float:
    return math.floor(share / _STEP) * _STEP


def _minutes(found: Survey, look: FirstLook | None) -> float | None:
    if look is None or not look.start_s:
        return None
    passes = sum(found.sizes.get(split, 0) * times for split, times in _PASSES.items())
    return (_STARTS * look.start_s + passes * look.image_s + found.images * _OTHER_S * look.start_s / _START_S) / 60


def _memory_gb(found: Survey) -> float:
    return _TENSORFLOW_GB + found.images * _FEATURE_BYTES / 1e9


def find_shortage(found: Survey, limits: ValidateSettings) -> str:
    """Returns what a run would fail for, because a class has too few images; "" if there are enough.

    Args:
        found: What the source holds.
        limits: The settings of validate.
    """
    name = min(found.classes, key=lambda label: (found.test[label], found.classes[label]))
    images, tested = found.classes[name], found.test[name]
    least = max(limits.min_train_images or 0, 1)
    if images - 2 * max(tested, 1) >= least and tested >= (limits.min_test_images or 0):
        return ""
    needed = math.ceil(max(least / _TRAINED, (limits.min_test_images or 1) / _TESTED))
    return (
        f"too few images: {name} has {images:,}, {tested} of them for testing; a run needs {least} of each class for "
        f"training and {limits.min_test_images or 0} for testing, so add images until each class has about {needed}"
    )


def sentences(found: Survey, look: FirstLook | None, proposal: Proposal) -> Iterator[str]:
    """Yields what is proposed and why, a line each, for people."""
    network = proposal.network
    yield f"network: {network.backbone} at {network.image_size_px} px ({network.why})"
    if look:
        yield (
            f"first look: {look.correct} of {look.images} images right by cross-validation; expect an accuracy of "
            f"about {look.accuracy:.2f}"
        )
        yield f"{'threshold: ' if proposal.threshold else ''}{promise(found, look, proposal)}"
    if tested := found.sizes.get(TEST, 0):
        yield f"later runs: {comparison_promise(tested)}"
    if proposal.minutes is not None:
        yield f"a run takes about {_duration(proposal.minutes)} here, and {proposal.memory_gb:.1f} GB of memory"


def promise(found: Survey, look: FirstLook, proposal: Proposal) -> str:
    """Returns what a threshold can promise with the test images that there are, as one line."""
    images, more = found.sizes.get(TEST, 0), f"; {proposal.needed} would do" if proposal.needed else ""
    if proposal.threshold is None or proposal.power is None:
        few = f"{images} test images are too few to tell a model of {look.accuracy:.2f} from luck"
        return f"no threshold suits; {few}{more}"
    return (
        f"min_accuracy {proposal.threshold:g}; with {images} test images, a model of {look.accuracy:.2f} is accepted "
        f"in {math.floor(100 * proposal.power)} of 100 runs, and one of {proposal.threshold:g} in at most 5"
    )


def comparison_promise(images: int, margin: float | None = None) -> str:
    """Returns what the comparison with the live release can promise with so many test images, as one line.

    Args:
        images: Number of test images, 1 or more.
        margin: The tolerated drop in accuracy, 0..1; None for the one that suits them.
    """
    odds = comparison_odds(images, margin)
    worse = f", one that is {points(odds.detected_loss)} worse in at most 20" if odds.detected_loss else ""
    return (
        f"with {images} test images, a loss of up to {points(odds.margin)} of accuracy is tolerated; a candidate as "
        f"good as the live release is accepted in {math.floor(100 * odds.equal_accepted)} of 100 runs{worse}"
    )


def _duration(minutes: float) -> str:
    if minutes >= 90:
        return f"{minutes / 60:.0f} hours"
    return f"{round(minutes)} minutes" if minutes >= 1.5 else "a minute"
