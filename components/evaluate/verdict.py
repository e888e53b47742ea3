"""The verdict on a candidate, from its checks, with notes on how much this many images can show."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scipy import stats

from components.evaluate.checks import CONSTANT, DROP, NO_RELEASE
from components.evaluate.evaluation import Evaluation
from components.evaluate.evidence import Evidence, Pairs
from components.evaluate.settings import AUTO, EvaluateSettings
from petalflow.dataset import Dataset
from petalflow.verdict import (
    ENOUGH_POWER,
    MIN_MARGIN,
    USUAL_DISCORDANT,
    Check,
    Verdict,
    comparison_odds,
    images_for_accuracy_drop,
    images_for_min,
    percent,
    points,
    power_of_accuracy_drop,
    power_of_min,
)

_SIGNIFICANCE = 0.05
_NAMED = 10  # classes that a note names


def make_verdict(found: Evaluation, checks: Sequence[Check], model_sha256: str, settings: EvaluateSettings) -> Verdict:
    """Returns the verdict on a candidate.

    Args:
        found: The scored candidate.
        checks: The checks made.
        model_sha256: Hash of the candidate's model file.
        settings: The settings of evaluate.
    """
    evidence, anyway = found.evidence, settings.accept_anyway
    verdict = Verdict(
        checks=checks,
        candidate={
            "accuracy": evidence.metrics.accuracy.value,
            "backbone": found.model.info["settings"]["backbone"],
            "model_sha256": model_sha256,
            "validation_accuracy": found.model.info["validation_accuracy"],
        },
        baseline=_baseline_facts(evidence),
        fingerprint=found.dataset.fingerprint,
        class_names=found.dataset.classes,
        test_images=evidence.predictions.images,
        temperature=found.temperature,
        # Without a threshold that reaches the accuracy, the model predicts only where a score is 1.
        abstain_threshold=1.0 if evidence.abstain_threshold is None else evidence.abstain_threshold,
        notes=[
            *make_notes(evidence, checks, settings),
            *evidence.warm_start.notes(found.images.left_out),
            *filter(None, [found.model.info.get("nothing_learned")]),
            # After a refusal, they are the first piece of advice.
            *(one.sentence for one in found.mislabelled if all(check.passed is not False for check in checks)),
        ],
    )
    needs_a_person = anyway.by and not verdict.accepted
    return dataclasses.replace(verdict, accepted_anyway=anyway.model_dump()) if needs_a_person else verdict


def make_notes(evidence: Evidence, checks: Sequence[Check], settings: EvaluateSettings) -> Iterator[str]:
    """Yields notes for people: how much this many images can show, and what was left out.

    Args:
        evidence: What the checks rest on.
        checks: The checks made.
        settings: The settings of evaluate.
    """
    if not settings.on_value:
        yield from _note_threshold(evidence, settings)
        yield from _note_comparison(evidence, checks, settings)
        yield from _note_constant(evidence, settings)
    yield from _note_never_predicted(evidence)
    baseline = evidence.baseline
    if baseline and baseline.facts["trained_on"] is None:
        yield f"release {baseline.version} does not record its training images; some may be among these test images"
    elif baseline and baseline.facts["trained_on"]:
        yield f"{baseline.facts['trained_on']} images were left out of the comparison: the release was trained on them"


def describe_left_out(dataset: Dataset) -> Iterator[str]:
    """Yields a sentence for each reason why files of the source are not in a dataset, with their number."""
    statistics, examples = dataset.statistics, dataset.statistics.get("reject_examples", {})
    for reason, count in sorted(statistics["rejects"].items(), key=lambda one: -one[1]):
        example = examples.get(reason)
        why = f"{example['sentence']} ({example['address']}{', for one' if count > 1 else ''})" if example else reason
        yield f"{count:,} left out: {why}"
    if statistics["duplicates"]:
        yield f"{statistics['duplicates']:,} left out: copies of other images with the same label"
    if statistics["left_out"]:
        yield f"{statistics['left_out']:,} left out by convert.max_images_per_class"


def _note_threshold(evidence: Evidence, settings: EvaluateSettings) -> Iterator[str]:
    """Yields the odds of a model whose true accuracy is the one measured, if they are low."""
    accuracy, threshold = evidence.metrics.accuracy, settings.min_accuracy
    value = accuracy.value or 0.0
    if threshold is None or value <= threshold:
        return
    power = power_of_min(value, accuracy.trials, threshold)
    if power < ENOUGH_POWER:
        yield (
            f"min_accuracy={threshold:g}: with {accuracy.trials} test images, a model with a true accuracy "
            f"of {percent(value)} passes {percent(power, 0)} of the time"
            f"{_needed_images(images_for_min(value, threshold))}"
        )


def _note_comparison(evidence: Evidence, checks: Sequence[Check], settings: EvaluateSettings) -> Iterator[str]:
    """Yields how many candidates that are as accurate as the release pass, and the loss that is detected."""
    made = [check for check in checks if check.name == DROP and check.passed is not None]
    if not made or evidence.changes is None:
        return
    margin, pairs = -made[0].threshold, evidence.changes.accuracy
    if settings.max_accuracy_drop == AUTO and margin > MIN_MARGIN:
        refused = 1 - power_of_accuracy_drop(pairs.images, MIN_MARGIN, USUAL_DISCORDANT)
        yield (
            f"{DROP}={margin:g} (auto): on {pairs.images} test images, a limit of {MIN_MARGIN:g} would refuse "
            f"{percent(refused, 0)} of the candidates that are as good as the release; in return, this one may accept "
            f"a loss of up to {points(margin)}"
        )
    if _mcnemar_p(pairs) < _SIGNIFICANCE:
        return  # they are not equally accurate
    # As if one more image of each kind had been seen: few images without a difference do not exclude one.
    differ = (pairs.better + pairs.worse + 1) / (pairs.images + 2)
    odds = comparison_odds(pairs.images, margin, differ)
    needed = _needed_images(images_for_accuracy_drop(margin, differ)) if odds.equal_accepted < ENOUGH_POWER else ""
    detected = f" and one that is {points(odds.detected_loss)} worse 20 %" if odds.detected_loss else ""
    yield (
        f"{DROP}={margin:g}: with {pairs.images} test images, a candidate as accurate as the release passes "
        f"{percent(odds.equal_accepted, 0)} of the time{detected} (assuming that, as here, exactly one of the two is "
        f"correct on {percent(differ)} of the images){needed}"
    )


def _note_constant(evidence: Evidence, settings: EvaluateSettings) -> Iterator[str]:
    """Yields the odds of a candidate that is truly as much better than a constant prediction as this one, if low."""
    pairs = evidence.constant.pairs
    if not settings.must_beat_constant or pairs.better <= pairs.worse:
        return
    gain, differ = (pairs.better - pairs.worse) / pairs.images, (pairs.better + pairs.worse) / pairs.images
    power = power_of_accuracy_drop(pairs.images, 0.0, differ, gain)
    if power < ENOUGH_POWER:
        yield (
            f"{CONSTANT}: with {pairs.images} test images, a model whose accuracy is truly {points(gain)} higher than "
            f"that of a constant prediction passes {percent(power, 0)} of the time"
            f"{_needed_images(images_for_accuracy_drop(0.0, differ, gain))}"
        )


def _note_never_predicted(evidence: Evidence) -> Iterator[str]:
    if never := evidence.never_predicted:
        more = f" and {len(never) - _NAMED} more" if len(never) > _NAMED else ""
        yield (
            f"never predicted on the test images: {', '.join(never[:_NAMED])}{more} "
            f"({len(never)} of {len(evidence.classes)} classes)"
        )


def _needed_images(images: int | None) -> str:
    return f"; {percent(ENOUGH_POWER, 0)} requires {f'{images:,}' if images else 'more than a million'} images"


def _baseline_facts(evidence: Evidence) -> Mapping[str, Any]:
    baseline = evidence.baseline
    if baseline is None:
        return {"version": None, "why": evidence.broken or NO_RELEASE}
    pairs = evidence.changes.accuracy if evidence.changes else Pairs(0, 0, 0)
    return {**baseline.facts, "better": pairs.better, "worse": pairs.worse, "mcnemar_p": _mcnemar_p(pairs)}


def _mcnemar_p(pairs: Pairs) -> float:
    """Returns the p-value of McNemar's exact test, which shows whether two models differ, not by how much.

    McNemar 1947, doi:10.1007/BF02295996.
    """
    differing = pairs.better + pairs.worse
    return round(float(stats.binomtest(pairs.better, differing).pvalue), 4) if differing else 1.0
