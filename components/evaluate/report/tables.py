"""The report's tables: each figure of the candidate with its interval, and the baseline's beside it."""

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

# Figure -> title, kind of number, and how to read it.
_FIGURES = {
    "macro_recall": ("Macro recall", SHARE, "mean of the classes' recall: every class counts the same"),
    "macro_precision": ("Macro precision", SHARE, "mean of the classes' precision"),
    "macro_f1": ("Macro F1", SHARE, "mean of the classes' F1, which is high only if precision and recall are"),
    "weighted_precision": ("Weighted precision", SHARE, "the same mean, each class counting by its images"),
    "weighted_f1": ("Weighted F1", SHARE, "the same mean of F1"),
    "roc_auc": ("ROC AUC", NUMBER, "how well scores put a class's images before the others: 0.5 is by chance, 1 best"),
    "pr_auc": ("PR AUC", NUMBER, "the same where a class is rare: average precision, 1 is best"),
    "log_loss": ("Log loss", NUMBER, "nats; punishes confident mistakes; lower is better, 0 best"),
    "brier": ("Brier score", NUMBER, "squared distance of the scores from the truth; lower is better, 0 best"),
    "ece": (
        "Calibration error",
        NUMBER,
        "how far scores are from being right as often; 0 is best; the interval leans up",
    ),
}
# A matrix of more classes than this is no longer read; its largest cells are.
MOST_CLASSES = 30
_MOST_CONFUSIONS = 50
_RANKED = ("f1", "roc_auc", "pr_auc")
_OF_CLASSES = ("recall", "precision", *_RANKED)


@dataclass(frozen=True)
class Cell:
    """The images of one class that were answered with one class.

    Attributes:
        actual: The class they are of.
        predicted: The class answered.
        count: How many there are.
        share: Of the images of that class, 0..1.
        shown: Indices of those shown, the most confident predictions first.
    """

    actual: int
    predicted: int
    count: int
    share: float
    shown: Sequence[int]

    @property
    def correct(self) -> bool:
        """Whether the answer is right."""
        return self.actual == self.predicted


def overall_rows(found: Evaluation, settings: EvaluateSettings) -> list[dict[str, Any]]:
    """Returns the figures of all images: title, kind, how to read it, the candidate's, and the baseline's or None.

    Args:
        found: What is known of the candidate.
        settings: Of evaluate.
    """
    candidate, baseline = found.evidence.metrics, found.baseline_metrics
    several = found.dataset.multi_label
    titles = {
        "accuracy": ("Accuracy", "images with every label right" if several else "images answered rightly"),
        "top_k_accuracy": (f"Top-{settings.top_k} accuracy", f"the right class is among the {settings.top_k} best"),
    }
    rows = [
        _row(name, *titles[name], SHARE, one, baseline.proportions.get(name) if baseline else None)
        for name, one in candidate.proportions.items()
    ]
    return rows + [
        _row(name, title, why, kind, candidate.overall[name], baseline.overall[name] if baseline else None)
        for name, (title, kind, why) in _FIGURES.items()
    ]


def class_rows(found: Evaluation) -> list[dict[str, Any]]:
    """Returns the figures of each class."""
    candidate, baseline = found.evidence.metrics, found.baseline_metrics
    return [
        {
            "name": name,
            "images": candidate.recalls[name].trials,
            "predicted": candidate.precisions[name].trials,
            "candidate": _of_class(candidate, name),
            "baseline": _of_class(baseline, name) if baseline else dict.fromkeys(_OF_CLASSES),
        }
        for name in found.dataset.classes
    ]


def slice_rows(found: Evaluation, checks: Sequence[Check]) -> Iterator[dict[str, Any]]:
    """Yields each slice: its kind, images, the candidate's accuracy and the baseline's, and what was said of it.

    Args:
        found: What is known of the candidate.
        checks: Of the verdict.
    """
    results = {True: "passed", False: "failed", None: "not judged"}
    said = {check.slice: results[check.passed] for check in checks if check.name == "min_slice_accuracy"}
    evidence, baseline = found.evidence, found.evidence.baseline
    right = evidence.predictions.correct
    right_before = baseline.predictions.correct if baseline else right
    for kind, of_kind in evidence.slices.items():
        for name, inside in of_kind.items():
            before = None
            if baseline:
                both = inside & baseline.comparable
                before = _accuracy(right_before[both])
            yield {
                "kind": kind,
                "name": name,
                "images": int(inside.sum()),
                "candidate": shown(_accuracy(right[inside])),
                "baseline": shown(before),
                "result": said.get(name, "not judged"),
            }


def cells(
    confusion: NDArray[np.int64], predictions: Predictions, images: Collection[int]
) -> dict[tuple[int, int], Cell]:
    """Returns the cells that are not empty, by actual and predicted class.

    Args:
        confusion: Counts, [actual, predicted].
        predictions: To the test images.
        images: Indices of the images that there are pictures of.
    """
    labels, predicted, confidence = predictions.label_indices, predictions.predicted_indices, predictions.confidence
    shown: dict[tuple[int, int], list[int]] = {}
    for image in sorted(images, key=lambda image: -confidence[image]):
        shown.setdefault((int(labels[image]), int(predicted[image])), []).append(image)
    sizes = confusion.sum(axis=1)
    found = {}
    for actual, said in np.argwhere(confusion).tolist():
        count = int(confusion[actual, said])
        found[actual, said] = Cell(actual, said, count, count / int(sizes[actual]), shown.get((actual, said), []))
    return found


def commonest(found: Mapping[tuple[int, int], Cell]) -> list[Cell]:
    """Returns the cells with the most wrong predictions, the largest first."""
    wrong = [cell for cell in found.values() if not cell.correct]
    return sorted(wrong, key=lambda cell: -cell.count)[:_MOST_CONFUSIONS]


def shown(one: Proportion | Interval | None) -> dict[str, float | None] | None:
    """Returns value, low and high of a figure; None if there is no such figure."""
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


def _of_class(metrics: Metrics, name: str) -> dict[str, Any]:
    return {
        "recall": shown(metrics.recalls[name]),
        "precision": shown(metrics.precisions[name]),
        **{what: shown(metrics.by_class[what][name]) for what in _RANKED},
    }


def _accuracy(right: np.ndarray) -> Proportion:
    return Proportion(int(right.sum()), len(right))
