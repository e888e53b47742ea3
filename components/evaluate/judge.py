"""The checks of a candidate, from its answers, those of the live release, and the thresholds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from components.evaluate.abstention import Abstention
from components.evaluate.answers import Answers
from components.evaluate.baseline import Baseline, discordant
from components.evaluate.measure import OVERALL, Measurement, overall
from components.evaluate.resampling import Interval, Values, bootstrap
from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices import Slices
from petalflow.verdict import Check, check_figure, check_min, check_paired, not_applicable

# Threshold -> figure of `Measurement.figures`, and whether it must not be more.
_FIGURES = {
    "min_macro_f1": ("macro_f1", False),
    "min_roc_auc": ("roc_auc", False),
    "min_pr_auc": ("pr_auc", False),
    "max_log_loss": ("log_loss", True),
    "max_brier": ("brier", True),
    "max_ece": ("ece", True),
}
_NO_RELEASE = "there is no release to compare with"


@dataclass(frozen=True)
class Evidence:
    """All that the checks of a candidate rest on.

    Attributes:
        classes: Names of the classes.
        answers: The candidate's, to every image of the test split.
        measurement: Figures of these.
        slices: Parts of the test split.
        abstain_threshold: The best score below which it does not answer.
        baseline: The live release; None if there is none.
        broken: Why the live release cannot be compared with, or "".
    """

    classes: Sequence[str]
    answers: Answers
    measurement: Measurement
    slices: Slices
    abstain_threshold: float
    baseline: Baseline | None
    broken: str = ""


def checks_of(evidence: Evidence, settings: EvaluateSettings) -> list[Check]:
    """Returns every check that the settings ask for."""
    return [
        *_of_size(evidence, settings),
        *_of_proportions(evidence, settings),
        *_of_figures(evidence, settings),
        *_of_abstention(evidence, settings),
        *_of_slices(evidence, settings),
        *_of_changes(evidence, settings),
    ]


def _of_size(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    images, least = evidence.answers.images, settings.min_test_images
    if images < least:
        why = f"{images} test images are too few to accept anything; add images, or lower it"
        yield Check("min_test_images", "", float(images), None, float(least), False, why)


def _of_proportions(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    measurement, on_value = evidence.measurement, settings.on_value
    for name, proportion in (
        ("min_accuracy", measurement.accuracy),
        ("min_top_k_accuracy", measurement.proportions.get("top_k_accuracy")),
    ):
        threshold = getattr(settings, name)
        if threshold is None:
            continue
        if proportion is None:
            yield not_applicable(name, threshold, f"there are no more than top_k={settings.top_k} classes")
        else:
            yield check_min(name, "", proportion.successes, proportion.trials, threshold, on_value=on_value)
    for name, of in (("min_recall", measurement.recalls), ("min_precision", measurement.precisions)):
        threshold = getattr(settings, name)
        if threshold is not None:
            for one, proportion in of.items():
                yield check_min(name, one, proportion.successes, proportion.trials, threshold, on_value=on_value)


def _of_figures(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    for name, (figure, at_most) in _FIGURES.items():
        threshold = getattr(settings, name)
        if threshold is not None:
            found = evidence.measurement.figures[figure]
            bound = found.upper if at_most else found.lower
            yield check_figure(name, "", found.value, bound, threshold, at_most=at_most, on_value=settings.on_value)


def _of_abstention(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    answers = evidence.answers
    answered, right = Abstention(answers.confidence, answers.right).at(evidence.abstain_threshold)
    if settings.min_coverage is not None:
        yield check_min("min_coverage", "", answered, answers.images, settings.min_coverage, on_value=settings.on_value)
    wanted = {
        "min_answered_accuracy": settings.min_answered_accuracy,
        # What was chosen on the validation split must hold on the test split too.
        "abstain_below_accuracy": settings.abstain_below_accuracy,
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
            threshold = limits.get(name) if isinstance(limits, dict) else limits
            if threshold is None:
                continue
            images = int(inside.sum())
            if images < settings.min_slice_images:
                why = f"does not apply: {images} images, fewer than min_slice_images={settings.min_slice_images}"
                yield Check("min_slice_accuracy", name, None, None, threshold, None, why)
                continue
            right = int(evidence.answers.right[inside].sum())
            yield check_min("min_slice_accuracy", name, right, images, threshold, on_value=settings.on_value)


def _of_changes(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    baseline, on_value = evidence.baseline, settings.on_value
    least = {
        "max_accuracy_drop": None if settings.max_accuracy_drop is None else -settings.max_accuracy_drop,
        "min_accuracy_gain": settings.min_accuracy_gain,
    }
    if baseline is None:
        yield from _without_baseline(evidence, settings)
        return
    mine = evidence.answers.of_images(baseline.comparable)
    theirs = baseline.answers.of_images(baseline.comparable)
    for name, difference in least.items():
        if difference is not None:
            yield check_paired(name, *discordant(mine, theirs), mine.images, difference, on_value=on_value)
    if settings.max_recall_drop is not None:
        for at, name in enumerate(evidence.classes):
            inside = mine.truth[:, at]
            pair = discordant(mine.of_images(inside), theirs.of_images(inside))
            yield check_paired(
                "max_recall_drop", *pair, int(inside.sum()), -settings.max_recall_drop, slice=name, on_value=on_value
            )
    yield from _of_differences(mine, theirs, baseline, settings)


def _of_differences(mine: Answers, theirs: Answers, baseline: Baseline, settings: EvaluateSettings) -> Iterator[Check]:
    """Yields checks of figures that are no proportions, by the paired bootstrap: both on the same resamples."""
    for name, figure in (("max_macro_f1_drop", "macro_f1"), ("max_log_loss_rise", "log_loss")):
        threshold = getattr(settings, name)
        if threshold is None:
            continue
        if not mine.images:
            yield not_applicable(name, threshold, "no images in common")
        elif figure == "log_loss" and not baseline.same_classes:
            yield not_applicable(name, threshold, f"release {baseline.version} has other classes")
        else:
            worsening = _difference(mine, theirs, figure)
            yield check_figure(
                name, "", worsening.value, worsening.upper, threshold, at_most=True, on_value=settings.on_value
            )


def _difference(mine: Answers, theirs: Answers, figure: str) -> Interval:
    """Returns by how much the candidate is worse than the baseline, on the same images."""
    at, sign = OVERALL.index(figure), 1 if figure == "log_loss" else -1
    one, other = overall(mine), overall(theirs)

    def statistic(weights: Values) -> Values:
        return np.array([sign * (one(weights)[at] - other(weights)[at])])

    return bootstrap(statistic, mine.strata)[0]


def _without_baseline(evidence: Evidence, settings: EvaluateSettings) -> Iterator[Check]:
    if evidence.broken and not settings.accept_over_broken_baseline:
        why = f"{evidence.broken}; mend or withdraw it, or set evaluate.accept_over_broken_baseline=true"
        yield Check("accept_over_broken_baseline", "", None, None, 0.0, False, why)
    elif not evidence.broken and not settings.accept_without_release:
        yield Check("accept_without_release", "", None, None, 0.0, False, f"{_NO_RELEASE}, and that is asked for")
    signs = {"max_accuracy_drop": -1}
    for name in ("max_accuracy_drop", "min_accuracy_gain", "max_recall_drop", "max_macro_f1_drop", "max_log_loss_rise"):
        threshold = getattr(settings, name)
        if threshold is not None:
            yield not_applicable(name, signs.get(name, 1) * threshold, evidence.broken or _NO_RELEASE)
