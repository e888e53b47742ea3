"""The evidence for the checks of a candidate: all numbers are computed here, so that the checks only compare them."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from components.evaluate.images import WarmStart
from components.evaluate.scoring import Baseline
from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices import Slices
from petalflow.metrics.bounds import compute_bounds, compute_worsening
from petalflow.metrics.constant import best_constant
from petalflow.metrics.metrics import Metrics
from petalflow.metrics.predictions import Predictions, discordant

# Threshold -> metric in `Metrics.overall`: of the candidate alone, and of its change against the baseline.
OVERALL_THRESHOLDS = {
    "min_macro_f1": "macro_f1",
    "min_roc_auc": "roc_auc",
    "min_pr_auc": "pr_auc",
    "max_log_loss": "log_loss",
    "max_brier": "brier",
    "max_ece": "ece",
}
WORSENING_THRESHOLDS = {"max_macro_f1_drop": "macro_f1", "max_log_loss_rise": "log_loss"}


@dataclass(frozen=True)
class Pairs:
    """Images on which exactly one of candidate and baseline is correct.

    Attributes:
        better: Number of images that only the candidate classifies correctly.
        worse: Number of images that only the baseline classifies correctly.
        images: Number of images that both classified.
    """

    better: int
    worse: int
    images: int


@dataclass(frozen=True)
class AgainstConstant:
    """The candidate against the best constant prediction.

    Attributes:
        predicted: The classes that the constant predicts for every image.
        pairs: Images on which exactly one of the two is correct; the constant takes the place of the baseline.
    """

    predicted: Sequence[str]
    pairs: Pairs


@dataclass(frozen=True)
class Changes:
    """What changed against the baseline, on the images that allow a comparison.

    Attributes:
        accuracy: Pairs among all these images.
        recalls: Class -> pairs among its images, by this class alone where an image has several labels.
        worsening: Metric -> by how much it is worse than the baseline's, and the upper 95 % bound of that.
    """

    accuracy: Pairs
    recalls: Mapping[str, Pairs]
    worsening: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Evidence:
    """What the checks of a candidate rest on.

    Attributes:
        classes: Names of the classes.
        predictions: The candidate's calibrated predictions for every image of the test split.
        metrics: Metrics of these predictions.
        slices: Parts of the test split.
        abstain_threshold: The model abstains where its top score is lower, 0..1; None if no threshold reaches
            `abstain_below_accuracy`.
        baseline: The live release; None if there is none.
        broken: Why the live release cannot be used, or "".
        warm_start: The release from which training started.
        bounds: One-sided bounds of the metrics in `Metrics.overall` that have a threshold.
        changes: What changed against the live release; None if no image allows a comparison.
    """

    classes: Sequence[str]
    predictions: Predictions
    metrics: Metrics
    slices: Slices
    abstain_threshold: float | None
    baseline: Baseline | None
    broken: str = ""
    warm_start: WarmStart = field(default_factory=WarmStart)
    bounds: Mapping[str, float] = field(default_factory=dict)
    changes: Changes | None = None

    @functools.cached_property
    def constant(self) -> "AgainstConstant":
        """The comparison with the best constant prediction, on all images."""
        constant, correct = best_constant(self.predictions), self.predictions.correct
        better, worse = int((correct & ~constant.correct).sum()), int((constant.correct & ~correct).sum())
        predicted = tuple(self.classes[at] for at in constant.classes)
        return AgainstConstant(predicted, Pairs(better, worse, self.predictions.images))

    @property
    def never_predicted(self) -> list[str]:
        """The classes that the candidate predicts for none of the images."""
        never = np.flatnonzero(~self.predictions.predicted.any(axis=0))
        return [self.classes[int(at)] for at in never]


def add_bounds(evidence: Evidence, settings: EvaluateSettings) -> Evidence:
    """Returns the evidence with the bounds and changes that the thresholds in the settings need."""
    wanted = [metric for name, metric in OVERALL_THRESHOLDS.items() if getattr(settings, name) is not None]
    return replace(
        evidence,
        bounds=compute_bounds(evidence.predictions, wanted),
        changes=_compute_changes(evidence, settings),
    )


def _compute_changes(evidence: Evidence, settings: EvaluateSettings) -> Changes | None:
    baseline = evidence.baseline
    if baseline is None or not baseline.comparable.any():
        return None
    candidate = evidence.predictions.subset(baseline.comparable)
    before = baseline.predictions.subset(baseline.comparable)
    wanted = [metric for name, metric in WORSENING_THRESHOLDS.items() if getattr(settings, name) is not None]
    if not baseline.same_classes and "log_loss" in wanted:
        wanted.remove("log_loss")  # scores over different classes do not compare
    return Changes(
        accuracy=Pairs(*discordant(candidate, before), candidate.images),
        recalls={name: _pair_recalls(candidate, before, at) for at, name in enumerate(evidence.classes)},
        worsening={metric: compute_worsening(candidate, before, metric) for metric in wanted},
    )


def _pair_recalls(candidate: Predictions, before: Predictions, at: int) -> Pairs:
    inside = candidate.labels[:, at]
    found, found_before = candidate.predicted[inside, at], before.predicted[inside, at]
    return Pairs(int((found & ~found_before).sum()), int((found_before & ~found).sum()), int(inside.sum()))
