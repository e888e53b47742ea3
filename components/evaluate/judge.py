"""The checks of a candidate, from its predictions, those of the live release, and the thresholds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from components.evaluate.abstention import Abstention
from components.evaluate.baseline import Baseline, discordant
from components.evaluate.settings import CHANGE_THRESHOLDS, SUFFICIENT, EvaluateSettings, Shares
from components.evaluate.slices import Slices
from components.evaluate.warm_start import WarmStart
from petalflow.metrics.bounds import bounds_of, worsening
from petalflow.metrics.metrics import LESS_IS_BETTER, Metrics
from petalflow.metrics.predictions import Predictions
from petalflow.verdict import Check, check_figure, check_min, check_paired, not_applicable

# Threshold -> figure of `Metrics.overall`.
_FIGURES = {
    "min_macro_f1": "macro_f1",
    "min_roc_auc": "roc_auc",
    "min_pr_auc": "pr_auc",
    "max_log_loss": "log_loss",
    "max_brier": "brier",
    "max_ece": "ece",
}
NO_RELEASE = "no release was given to compare with: there is none yet, or none was named"


@dataclass(frozen=True)
class Evidence:
    """All that the checks of a candidate rest on.

    Attributes:
        classes: Names of the classes.
        predictions: The candidate's, to every image of the test split.
        metrics: Figures of these.
        slices: Parts of the test split.
        abstain_threshold: The best score below which it does not answer; None if no threshold gives the accuracy that
            one was to be chosen for.
        baseline: The live release; None if there is none.
        broken: Why the live release cannot be compared with, or "".
        warm_start: The release that its training began with.
    """

    classes: Sequence[str]
    predictions: Predictions
    metrics: Metrics
    slices: Slices
    abstain_threshold: float | None
    baseline: Baseline | None
    broken: str = ""
    warm_start: WarmStart = field(default_factory=WarmStart)


def checks_of(evidence: Evidence, settings: EvaluateSettings) -> list[Check]:
    """Returns every check that the settings ask for."""
    own = [
        *_of_proportions(evidence, settings),
        *_of_figures(evidence, settings),
        *_of_abstention(evidence, settings),
        *_of_slices(evidence, settings),
    ]
    return [
        *_of_size(evidence, settings),
        *_of_warm_start(evidence, settings),
        *own,
        *_of_none(own),
        *_of_changes(evidence, settings),
    ]


def _of_size(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    images, least = evidence.predictions.images, settings.min_test_images
    if images < least:
        why = f"{images} test images are too few to accept anything; add images, or lower it"
        yield Check("min_test_images", "", float(images), None, float(least), False, why)


def _of_warm_start(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    if not evidence.warm_start.is_known and not settings.accept_unknown_warm_start:
        why = f"{evidence.warm_start.unknown}; train without warm start, or set evaluate.accept_unknown_warm_start=true"
        yield Check("accept_unknown_warm_start", "", None, None, 0.0, False, why)


def _of_none(own: Sequence[Check]) -> Iterator[Check]:
    # A comparison says that the candidate is like the release, not that it is good.
    if all(check.passed is None for check in own if check.name in SUFFICIENT):
        why = "no threshold applies to these images, so nothing says that the candidate is good; set min_accuracy"
        yield Check("thresholds", "", None, None, 0.0, False, why)


def _of_proportions(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    metrics, on_value = evidence.metrics, settings.on_value
    for name, figure in (("min_accuracy", "accuracy"), ("min_top_k_accuracy", "top_k_accuracy")):
        threshold = getattr(settings, name)
        if threshold is not None:
            of_all = metrics.proportions[figure]
            yield check_min(name, "", of_all.successes, of_all.trials, threshold, on_value=on_value)
    for name, of in (("min_recall", metrics.recalls), ("min_precision", metrics.precisions)):
        what = "answers" if name == "min_precision" else "images"
        for one, proportion in of.items():
            threshold = _limit(getattr(settings, name), one)
            if threshold is not None:
                counts = proportion.successes, proportion.trials
                yield check_min(name, one, *counts, threshold, on_value=on_value, of_what=what)


def _limit(limits: Shares, name: str) -> float | None:
    return limits.get(name) if isinstance(limits, dict) else limits


def _of_figures(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    thresholds = {name: getattr(settings, name) for name in _FIGURES}
    asked = {name: figure for name, figure in _FIGURES.items() if thresholds[name] is not None}
    bounds = bounds_of(evidence.predictions, asked.values())
    for name, figure in asked.items():
        value, at_most = evidence.metrics.overall[figure].value, figure in LESS_IS_BETTER
        yield check_figure(
            name, "", value, bounds[figure], thresholds[name], at_most=at_most, on_value=settings.on_value
        )


def _of_abstention(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    predictions, chosen_for = evidence.predictions, settings.abstain_below_accuracy
    if evidence.abstain_threshold is None and chosen_for is not None:
        why = "the validation split has no threshold at which its predictions are so accurate by the lower 95 % bound"
        yield Check("abstain_below_accuracy", "", None, None, chosen_for, False, why)
        return
    answered, right = Abstention(predictions.confidence, predictions.correct).at(evidence.abstain_threshold or 0.0)
    if not answered:
        why = "no test image has so high a score, so the released model would answer nothing; lower it"
        yield Check("abstain_threshold", "", None, None, evidence.abstain_threshold or 0.0, False, why)
    if settings.min_coverage is not None:
        yield check_min(
            "min_coverage", "", answered, predictions.images, settings.min_coverage, on_value=settings.on_value
        )
    wanted = {
        "min_answered_accuracy": settings.min_answered_accuracy,
        # What was chosen on the validation split must hold on the test split too.
        "abstain_below_accuracy": chosen_for,
    }
    for name, threshold in wanted.items():
        if threshold is not None:
            yield check_min(name, "", right, answered, threshold, on_value=settings.on_value)


def _of_slices(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
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
                few = f"{images} images, fewer than min_slice_images={settings.min_slice_images}"
                # One that is named is asked for.
                passed, why = (False, few) if isinstance(limits, dict) else (None, f"does not apply: {few}")
                yield Check("min_slice_accuracy", name, None, None, threshold, passed, why)
                continue
            right = int(evidence.predictions.correct[inside].sum())
            yield check_min("min_slice_accuracy", name, right, images, threshold, on_value=settings.on_value)


def _of_changes(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    baseline, on_value = evidence.baseline, settings.on_value
    if baseline is None or not baseline.comparable.any():
        yield from _without_comparison(evidence, settings)
        return
    candidate = evidence.predictions.subset(baseline.comparable)
    before = baseline.predictions.subset(baseline.comparable)
    least = {
        "max_accuracy_drop": None if settings.max_accuracy_drop is None else -settings.max_accuracy_drop,
        "min_accuracy_gain": settings.min_accuracy_gain,
    }
    for name, difference in least.items():
        if difference is not None:
            yield check_paired(name, *discordant(candidate, before), candidate.images, difference, on_value=on_value)
    if settings.max_recall_drop is not None:
        for at, name in enumerate(evidence.classes):
            inside = candidate.labels[:, at]
            found, found_before = (
                candidate.predicted[inside, at],
                before.predicted[inside, at],
            )  # of several labels, this one alone
            pair = int((found & ~found_before).sum()), int((found_before & ~found).sum())
            yield check_paired(
                *("max_recall_drop", *pair, int(inside.sum()), -settings.max_recall_drop),
                slice=name,
                on_value=on_value,
                figure="recall",
            )
    yield from _of_differences(candidate, before, baseline, settings)


def _of_differences(
    candidate: Predictions, before: Predictions, baseline: Baseline, settings: EvaluateSettings
) -> Iterator[Check]:
    """Yields checks of figures that are no proportions, on the same images."""
    for name, figure in (("max_macro_f1_drop", "macro_f1"), ("max_log_loss_rise", "log_loss")):
        threshold = getattr(settings, name)
        if threshold is None:
            continue
        if figure == "log_loss" and not baseline.same_classes:
            yield not_applicable(name, threshold, f"release {baseline.version} has other classes")
        else:
            value, bound = worsening(candidate, before, figure)
            yield check_figure(
                *(name, "", value, bound, threshold),
                at_most=True,
                on_value=settings.on_value,
                measured=f"{figure} worse than the baseline's on {candidate.images} images by",
            )


def _without_comparison(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    thresholds = {name: getattr(settings, name) for name in CHANGE_THRESHOLDS}
    asked = {name: threshold for name, threshold in thresholds.items() if threshold is not None}
    why_not = evidence.broken or NO_RELEASE
    if evidence.baseline:
        version = f"release {evidence.baseline.version}"
        why_not = f"there is no test image to compare with {version} on: of a class it knows, and that is new to it"
    if evidence.broken or (evidence.baseline and asked):
        if not settings.accept_over_broken_baseline:
            why = f"{why_not}; mend or withdraw it, or set evaluate.accept_over_broken_baseline=true"
            yield Check("accept_over_broken_baseline", "", None, None, 0.0, False, why)
    elif not settings.accept_without_release:
        yield Check("accept_without_release", "", None, None, 0.0, False, f"{NO_RELEASE}; and that is asked for")
    for name, threshold in asked.items():
        yield not_applicable(name, -threshold if name == "max_accuracy_drop" else threshold, why_not)
