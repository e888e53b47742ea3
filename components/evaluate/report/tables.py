"""The report's tables: metrics of candidate and baseline, overall, by class and by slice; the confusion matrix."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluate.evaluation import Evaluation
from components.evaluate.settings import EvaluateSettings
from petalflow.metrics.metrics import Metrics, Proportion
from petalflow.metrics.predictions import Predictions
from petalflow.metrics.resampling import Interval
from petalflow.verdict import Check

SHARE, NUMBER = "share", "number"

# Metric -> title, kind of number, and explanation.
_METRICS = {
    "macro_recall": ("Macro recall", SHARE, "mean recall of all classes, each class weighted equally"),
    "macro_precision": ("Macro precision", SHARE, "mean precision of all classes"),
    "macro_f1": ("Macro F1", SHARE, "mean F1 of all classes; high only if precision and recall both are"),
    "weighted_precision": ("Weighted precision", SHARE, "mean precision, each class weighted by its number of images"),
    "weighted_f1": ("Weighted F1", SHARE, "mean F1, each class weighted by its number of images"),
    "roc_auc": ("ROC AUC", NUMBER, "how well scores rank a class's images above all others: 0.5 is chance, 1 is best"),
    "pr_auc": ("PR AUC", NUMBER, "average precision, more telling for rare classes: 1 is best"),
    "log_loss": ("Log loss", NUMBER, "in nats; penalizes confident mistakes; lower is better, 0 is best"),
    "brier": ("Brier score", NUMBER, "squared distance between scores and labels; lower is better, 0 is best"),
    "ece": (
        "Calibration error",
        NUMBER,
        "expected gap between score and accuracy (ECE); 0 is best; biased upwards for few images",
    ),
}
# With more classes than this, the matrix is unreadable and its largest off-diagonal cells are listed instead.
MOST_CLASSES = 30
_MOST_CONFUSIONS = 50
_RANKED = ("f1", "roc_auc", "pr_auc")
_OF_CLASSES = ("recall", "precision", *_RANKED)


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix.

    Attributes:
        actual: The label.
        predicted: The prediction.
        count: Number of images.
        share: Share of the images with this label, 0..1.
        shown: Indices of the displayed images, most confident first.
    """

    actual: int
    predicted: int
    count: int
    share: float
    shown: Sequence[int]

    @property
    def correct(self) -> bool:
        """True on the diagonal."""
        return self.actual == self.predicted


def overall_rows(found: Evaluation, settings: EvaluateSettings) -> list[dict[str, Any]]:
    """Returns the metrics on all images: title, kind, explanation, and the values of candidate and baseline (or None).

    Args:
        found: The evaluation.
        settings: The settings of evaluate.
    """
    candidate, baseline = found.evidence.metrics, found.baseline_metrics
    several = found.dataset.multi_label
    titles = {
        "accuracy": (
            "Accuracy",
            "share of images with every label correct" if several else "share of images classified correctly",
        ),
        "top_k_accuracy": (f"Top-{settings.top_k} accuracy", f"the label is among the {settings.top_k} highest scores"),
    }
    rows = [
        _row(name, *titles[name], SHARE, one, baseline.proportions.get(name) if baseline else None)
        for name, one in candidate.proportions.items()
    ]
    return rows + [
        _row(name, title, why, kind, candidate.overall[name], baseline.overall[name] if baseline else None)
        for name, (title, kind, why) in _METRICS.items()
    ]


def class_rows(found: Evaluation) -> list[dict[str, Any]]:
    """Returns the metrics of each class."""
    candidate, baseline = found.evidence.metrics, found.baseline_metrics
    return [
        {
            "name": name,
            "images": candidate.recalls[name].trials,
            "predicted": candidate.precisions[name].trials,
            "candidate": _class_metrics(candidate, name),
            "baseline": _class_metrics(baseline, name) if baseline else dict.fromkeys(_OF_CLASSES),
        }
        for name in found.dataset.classes
    ]


def slice_rows(found: Evaluation, checks: Sequence[Check]) -> Iterator[dict[str, Any]]:
    """Yields each slice: kind, name, number of images, accuracy of candidate and baseline, and result of its check.

    Args:
        found: The evaluation.
        checks: The checks of the verdict.
    """
    results = {True: "passed", False: "failed", None: "not checked"}
    checked = {check.slice: results[check.passed] for check in checks if check.name == "min_slice_accuracy"}
    evidence, baseline = found.evidence, found.evidence.baseline
    correct = evidence.predictions.correct
    correct_before = baseline.predictions.correct if baseline else correct
    for kind, of_kind in evidence.slices.items():
        for name, inside in of_kind.items():
            before = None
            if baseline:
                both = inside & baseline.comparable
                before = _accuracy(correct_before[both])
            yield {
                "kind": kind,
                "name": name,
                "images": int(inside.sum()),
                "candidate": shown(_accuracy(correct[inside])),
                "baseline": shown(before),
                "result": checked.get(name, "not checked"),
            }


def cells(
    confusion: NDArray[np.int64], predictions: Predictions, images: Collection[int]
) -> dict[tuple[int, int], Cell]:
    """Returns the non-empty cells of the confusion matrix, by actual and predicted class.

    Args:
        confusion: Counts, [actual, predicted].
        predictions: The predictions for the test images.
        images: Indices of the displayed images.
    """
    labels, predicted, confidence = predictions.label_indices, predictions.predicted_indices, predictions.confidence
    shown: dict[tuple[int, int], list[int]] = {}
    for image in sorted(images, key=lambda image: -confidence[image]):
        shown.setdefault((int(labels[image]), int(predicted[image])), []).append(image)
    sizes = confusion.sum(axis=1)
    found = {}
    for actual, guess in np.argwhere(confusion).tolist():
        count = int(confusion[actual, guess])
        found[actual, guess] = Cell(actual, guess, count, count / int(sizes[actual]), shown.get((actual, guess), []))
    return found


def commonest(found: Mapping[tuple[int, int], Cell]) -> list[Cell]:
    """Returns the most common confusions, the largest first."""
    wrong = [cell for cell in found.values() if not cell.correct]
    return sorted(wrong, key=lambda cell: -cell.count)[:_MOST_CONFUSIONS]


def shown(one: Proportion | Interval | None) -> dict[str, float | None] | None:
    """Returns value, low and high of a metric; None if it is undefined."""
    if one is None or one.value is None:
        return None
    plain = one.to_json() if isinstance(one, Proportion) else {"low": one.low, "high": one.high}
    return {"value": one.value, "low": plain["low"], "high": plain["high"]}


def _row(
    name: str, title: str, why: str, kind: str, candidate: Proportion | Interval, baseline: Proportion | Interval | None
) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "why": why,
        "kind": kind,
        "candidate": shown(candidate),
        "baseline": shown(baseline),
    }


def _class_metrics(metrics: Metrics, name: str) -> dict[str, Any]:
    return {
        "recall": shown(metrics.recalls[name]),
        "precision": shown(metrics.precisions[name]),
        **{what: shown(metrics.by_class[what][name]) for what in _RANKED},
    }


def _accuracy(correct: np.ndarray) -> Proportion:
    return Proportion(int(correct.sum()), len(correct))
