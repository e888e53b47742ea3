"""What to know of a verdict besides its checks: how much this many images can show, and what was left out."""

from collections.abc import Iterator, Sequence

from components.evaluate.baseline import difference_facts, discordant
from components.evaluate.judge import Evidence
from components.evaluate.settings import EvaluateSettings
from petalflow.verdict import (
    Check,
    images_for_accuracy_drop,
    images_for_min,
    power_of_accuracy_drop,
    power_of_min,
)

# Less power than this, and a refusal says as much of the test split as of the candidate (Cohen 1988).
_ENOUGH = 0.8
_SURELY = 0.05


def notes_of(evidence: Evidence, checks: Sequence[Check], settings: EvaluateSettings) -> Iterator[str]:
    """Yields sentences for people.

    Args:
        evidence: What the checks rest on.
        checks: Those made.
        settings: Of evaluate.
    """
    if not settings.on_value:
        yield from _of_threshold(evidence, settings)
        yield from _of_comparison(evidence, checks)
    baseline = evidence.baseline
    if baseline and baseline.facts["trained_on"] is None:
        yield f"release {baseline.version} does not say which images it was trained on; some of these may be among them"
    elif baseline and baseline.facts["trained_on"]:
        yield f"{baseline.facts['trained_on']} images were left out of the comparison: the release was trained on them"


def _of_threshold(evidence: Evidence, settings: EvaluateSettings) -> Iterator[str]:
    """Yields what the images can show of a model that is truly as good as this one was measured to be."""
    accuracy, threshold = evidence.metrics.accuracy, settings.min_accuracy
    value = accuracy.value or 0.0
    if threshold is None or value <= threshold:
        return
    power = power_of_min(value, accuracy.trials, threshold)
    if power < _ENOUGH:
        yield (
            f"min_accuracy={threshold:g}: a model that is truly right on {value:.1%} passes on {accuracy.trials} "
            f"images in {power:.0%} of all cases{_needed(images_for_min(value, threshold))}"
        )


def _of_comparison(evidence: Evidence, checks: Sequence[Check]) -> Iterator[str]:
    """Yields what the images can show of a candidate that is truly as good as the release."""
    made = [check for check in checks if check.name == "max_accuracy_drop" and check.passed is not None]
    if not made or evidence.baseline is None:
        return
    margin, comparable = -made[0].threshold, evidence.baseline.comparable
    candidate, before = (
        predictions.subset(comparable) for predictions in (evidence.predictions, evidence.baseline.predictions)
    )
    if difference_facts(candidate, before)["mcnemar_p"] < _SURELY:
        return  # they are not equally good
    pairs = candidate.images
    # As if one more image of each kind had been seen: of few images, none that differ does not mean that none would.
    differ = (sum(discordant(candidate, before)) + 1) / (pairs + 2)
    power = power_of_accuracy_drop(pairs, margin, differ)
    needed = _needed(images_for_accuracy_drop(margin, differ)) if power < _ENOUGH else ""
    yield (
        f"max_accuracy_drop={margin:g}: of candidates as good as the release {power:.0%} pass on {pairs} images, if "
        f"one of the two alone is right on {differ:.1%} of them, about as here{needed}"
    )


def _needed(images: int | None) -> str:
    return f"; {images:,} images would make that {_ENOUGH:.0%}" if images else "; it would take more than a million"
