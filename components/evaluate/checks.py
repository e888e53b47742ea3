"""The checks of a candidate: its metrics, and the changes against the live release, against the thresholds."""

import dataclasses
from collections.abc import Iterator, Sequence

from components.evaluate.calibration import Abstention
from components.evaluate.evidence import OVERALL_THRESHOLDS, WORSENING_THRESHOLDS, Changes, Evidence, Pairs
from components.evaluate.settings import CHANGE_THRESHOLDS, SUFFICIENT, EvaluateSettings, Shares
from petalflow.metrics.metrics import LESS_IS_BETTER
from petalflow.verdict import Check, check_better, check_metric, check_min, check_paired, not_applicable

CONSTANT = "must_beat_constant"
DROP = "max_accuracy_drop"
NO_RELEASE = "no release to compare with: nothing is released yet, or no baseline was named"


def make_checks(evidence: Evidence, settings: EvaluateSettings) -> list[Check]:
    """Returns every check that the settings require."""
    own = [
        *_check_proportions(evidence, settings),
        *_check_overall(evidence, settings),
        *_check_abstention(evidence, settings),
        *_check_slices(evidence, settings),
    ]
    return [
        *_check_size(evidence, settings),
        *_check_warm_start(evidence, settings),
        *own,
        *_check_sufficient(own),
        *_check_constant(evidence, settings),
        *_check_changes(evidence, settings),
    ]


def _check_size(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    images, least = evidence.predictions.images, settings.min_test_images
    if images < least:
        why = f"{images} test images are too few for a verdict; add images, or lower min_test_images"
        yield Check("min_test_images", "", float(images), None, float(least), False, why)


def _check_constant(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    pairs, predicted = evidence.constant.pairs, evidence.constant.predicted
    if not settings.must_beat_constant or not pairs.images:
        return
    other = f"always predicting {' and '.join(predicted) or 'no class'}"
    check = check_better(CONSTANT, pairs.better, pairs.worse, pairs.images, other, on_value=settings.on_value)
    if not check.passed:
        why = (
            f"{check.why}, so nothing shows that the candidate tells the classes apart; train on more or clearer "
            "images, or set evaluate.must_beat_constant=false if accuracy is not what counts"
        )
        check = dataclasses.replace(check, why=why)
    yield check


def _check_warm_start(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    if not evidence.warm_start.is_known and not settings.accept_unknown_warm_start:
        why = (
            f"{evidence.warm_start.unknown}; train without a warm start, or set evaluate.accept_unknown_warm_start=true"
        )
        yield Check("accept_unknown_warm_start", "", None, None, 0.0, False, why)


def _check_sufficient(own: Sequence[Check]) -> Iterator[Check]:
    # A comparison shows that the candidate is like the release, not that it is good.
    if all(check.passed is None for check in own if check.name in SUFFICIENT):
        why = "no threshold applies to these images, so nothing shows that the candidate is good; set min_accuracy"
        yield Check("thresholds", "", None, None, 0.0, False, why)


def _check_proportions(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    metrics, on_value = evidence.metrics, settings.on_value
    for name, metric in (("min_accuracy", "accuracy"), ("min_top_k_accuracy", "top_k_accuracy")):
        threshold = getattr(settings, name)
        if threshold is not None:
            overall = metrics.proportions[metric]
            yield check_min(name, "", overall.successes, overall.trials, threshold, on_value=on_value)
    for name, by_class in (("min_recall", metrics.recalls), ("min_precision", metrics.precisions)):
        what = "predictions" if name == "min_precision" else "images"
        for class_name, proportion in by_class.items():
            threshold = _limit(getattr(settings, name), class_name)
            if threshold is not None:
                counts = proportion.successes, proportion.trials
                yield check_min(name, class_name, *counts, threshold, on_value=on_value, of_what=what)


def _limit(limits: Shares, name: str) -> float | None:
    return limits.get(name) if isinstance(limits, dict) else limits


def _check_overall(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    for name, metric in OVERALL_THRESHOLDS.items():
        threshold = getattr(settings, name)
        if threshold is not None:
            value, bound = evidence.metrics.overall[metric].value, evidence.bounds[metric]
            at_most = metric in LESS_IS_BETTER
            yield check_metric(name, "", value, bound, threshold, at_most=at_most, on_value=settings.on_value)


def _check_abstention(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    predictions, chosen_for = evidence.predictions, settings.abstain_below_accuracy
    if evidence.abstain_threshold is None and chosen_for is not None:
        why = (
            "no abstain threshold reaches this accuracy (its lower 95 % bound) on the validation split; lower "
            "evaluate.abstain_below_accuracy"
        )
        yield Check("abstain_below_accuracy", "", None, None, chosen_for, False, why)
        return
    predicted, correct = Abstention.of(predictions).at(evidence.abstain_threshold or 0.0)
    if not predicted:
        setting = "abstain_threshold" if chosen_for is None else "abstain_below_accuracy"
        why = f"all test images score below it, so the released model would always abstain; lower evaluate.{setting}"
        yield Check("abstain_threshold", "", None, None, evidence.abstain_threshold or 0.0, False, why)
    if settings.min_coverage is not None:
        yield check_min(
            "min_coverage", "", predicted, predictions.images, settings.min_coverage, on_value=settings.on_value
        )
    thresholds = {
        "min_selective_accuracy": settings.min_selective_accuracy,
        # What was chosen on the validation split must also hold on the test split.
        "abstain_below_accuracy": chosen_for,
    }
    for name, threshold in thresholds.items():
        if threshold is not None:
            metric = "selective accuracy"
            yield check_min(name, "", correct, predicted, threshold, on_value=settings.on_value, metric=metric)


def _check_slices(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    limits = settings.min_slice_accuracy
    if limits is None:
        return
    for of_kind in evidence.slices.values():
        for name, inside in of_kind.items():
            threshold = _limit(limits, name)
            if threshold is None:
                continue
            images = int(inside.sum())
            if images < settings.min_slice_images:
                why = f"{images} images, fewer than min_slice_images={settings.min_slice_images}"
                # A slice that is named must be judged.
                passed = False if isinstance(limits, dict) else None
                yield Check("min_slice_accuracy", name, None, None, threshold, passed, why)
                continue
            correct = int(evidence.predictions.correct[inside].sum())
            yield check_min("min_slice_accuracy", name, correct, images, threshold, on_value=settings.on_value)


def _check_changes(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    baseline, changes = evidence.baseline, evidence.changes
    if baseline is None or not baseline.comparable.any():
        yield from _explain_no_comparison(evidence, settings)
        return
    if changes is None:
        raise ValueError("the evidence has no changes yet: add_bounds computes them")
    drop = settings.tolerated_drop(changes.accuracy.images)
    least = {
        DROP: None if drop is None else -drop,
        "min_accuracy_gain": settings.min_accuracy_gain,
    }
    for name, difference in least.items():
        if difference is not None:
            yield _check_pairs(name, changes.accuracy, difference, settings)
    if settings.max_recall_drop is not None:
        for class_name, pairs in changes.recalls.items():
            yield _check_pairs("max_recall_drop", pairs, -settings.max_recall_drop, settings, class_name, "recall")
    yield from _check_worsening(changes, evidence, settings)


def _check_pairs(
    name: str, pairs: Pairs, difference: float, settings: EvaluateSettings, slice: str = "", metric: str = "accuracy"
) -> Check:
    counts = pairs.better, pairs.worse, pairs.images
    return check_paired(name, *counts, difference, slice=slice, on_value=settings.on_value, metric=metric)


def _check_worsening(changes: Changes, evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    """Yields the checks of changes in metrics that are not proportions."""
    for name, metric in WORSENING_THRESHOLDS.items():
        threshold = getattr(settings, name)
        if threshold is None:
            continue
        if metric not in changes.worsening:
            version = evidence.baseline.version if evidence.baseline else None
            yield not_applicable(name, threshold, f"release {version} has other classes")
            continue
        value, bound = changes.worsening[metric]
        yield check_metric(
            *(name, "", value, bound, threshold),
            at_most=True,
            on_value=settings.on_value,
            measured=f"{metric} worse than the baseline's on {changes.accuracy.images} images by",
        )


def _explain_no_comparison(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    thresholds = {name: getattr(settings, name) for name in CHANGE_THRESHOLDS}
    thresholds[DROP] = settings.tolerated_drop(evidence.predictions.images)
    required = {name: threshold for name, threshold in thresholds.items() if threshold is not None}
    why_not = evidence.broken or NO_RELEASE
    if evidence.baseline:
        version = f"release {evidence.baseline.version}"
        why_not = f"no test image allows a comparison with {version}: it was trained on them or lacks their classes"
    if evidence.broken or (evidence.baseline and required):
        if not settings.accept_over_broken_baseline:
            why = f"{why_not}; repair or remove it, or set evaluate.accept_over_broken_baseline=true"
            yield Check("accept_over_broken_baseline", "", None, None, 0.0, False, why)
    elif not settings.accept_without_release:
        why = f"{NO_RELEASE}; release one first, or set evaluate.accept_without_release=true"
        yield Check("accept_without_release", "", None, None, 0.0, False, why)
    for name, threshold in required.items():
        yield not_applicable(name, -threshold if name == DROP else threshold, why_not)
