"""An evaluation as the pages of Kubeflow and Vertex AI show it: numbers, a confusion matrix, a curve, ten lines."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from components.evaluate.predictions import read_labels
from petalflow.printable import printable

if TYPE_CHECKING:
    from kfp import dsl

# Artifacts' metadata are for small values: a matrix of more classes, a curve of more points, would not be stored.
_MOST_CLASSES, _MOST_POINTS = 50, 100
_LINES = 10
# Markdown shows HTML, and the name of a class must not be any.
_MARKUP = {ord(letter): f"\\{letter}" for letter in "<>|*_`[]\\"}


def log_figures(artifact: "dsl.Metrics", metrics: Mapping[str, Any]) -> None:
    """Logs the candidate's figures; what is not defined is left out, as no place takes it.

    Args:
        artifact: Metrics, changed.
        metrics: What metrics.json holds.
    """
    candidate = metrics["candidate"]
    figures = {**candidate["proportions"], **candidate["figures"]}
    for name, figure in figures.items():
        for what, value in ((name, figure["value"]), (f"{name}_low", figure["low"]), (f"{name}_high", figure["high"])):
            if value is not None and math.isfinite(value):
                artifact.log_metric(what, float(value))


def log_classification(artifact: "dsl.ClassificationMetrics", metrics: Mapping[str, Any], predictions: Path) -> None:
    """Logs the confusion matrix, where an image has one class, and the ROC curve of all predictions together.

    The curve is micro-averaged: each class of each image is a question of its own.

    Args:
        artifact: ClassificationMetrics, changed.
        metrics: What metrics.json holds.
        predictions: predictions.parquet.
    """
    from sklearn import metrics as sklearn_metrics

    classes, confusion = list(metrics["candidate"]["recalls"]), metrics["candidate"]["confusion"]
    if confusion is not None and len(classes) <= _MOST_CLASSES:
        artifact.log_confusion_matrix(classes, confusion)
    table = pq.read_table(predictions)
    labels, scores = read_labels(table), np.stack(table["scores"].to_numpy())
    false, true, thresholds = sklearn_metrics.roc_curve(labels.ravel(), scores.ravel())
    shown = np.unique(np.linspace(0, len(false) - 1, _MOST_POINTS).astype(int))
    # The first threshold is above every score: infinite, which no place takes.
    finite = np.minimum(thresholds[shown], 1.0)
    artifact.log_roc_curve(false[shown].tolist(), true[shown].tolist(), finite.astype(float).tolist())


def summary(verdict: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Returns the verdict in ten lines or fewer of Markdown.

    Args:
        verdict: What verdict.json holds.
        metrics: What metrics.json holds.
    """
    accuracy, baseline = metrics["candidate"]["proportions"]["accuracy"], metrics["baseline"]
    lines = [
        f"# {'Accepted' if verdict['accepted'] else 'Refused'}",
        f"- accuracy **{accuracy['value']:.4f}** (95 % interval {accuracy['low']:.4f} to {accuracy['high']:.4f}) on "
        f"{verdict['test_images']} test images",
    ]
    if baseline:
        compared = baseline["proportions"]["accuracy"]
        lines.append(
            f"- release {verdict['baseline']['version']}: {compared['value']:.4f} on {compared['trials']} of them"
        )
    anyway = verdict["accepted_anyway"]
    if anyway:
        lines.append(f"- **accepted by {_plain(anyway['by'])}, whatever the checks say: {_plain(anyway['reason'])}**")
    lines.append(f"- temperature {verdict['temperature']:g}, abstain threshold {verdict['abstain_threshold']:g}")
    return "\n".join([*lines, *_checks(verdict, _LINES - len(lines))]) + "\n"


def _checks(verdict: Mapping[str, Any], room: int) -> list[str]:
    failed = [check for check in verdict["checks"] if check["passed"] is False]
    passed = sum(check["passed"] is True for check in verdict["checks"])
    said = [f"- failed: {_plain(check['name'])}{_of(check)}: {_plain(check['why'])}" for check in failed]
    if len(said) > room - 1:
        said = [*said[: room - 2], f"- failed: {len(said) - room + 2} more"]
    return [*said, f"- passed: {passed} of {passed + len(failed)} checks that apply"]


def _of(check: Mapping[str, Any]) -> str:
    return f" of {_plain(check['slice'])}" if check["slice"] else ""


def _plain(text: str) -> str:
    return printable(" ".join(text.split())).translate(_MARKUP)
