"""The results of an evaluation for the run's record, and as KFP artifacts, which Kubeflow and Vertex AI show."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from components.evaluate.predictions import read_labels
from petalflow import storage
from petalflow.model.files import HISTORY_FILE, read_model_info
from petalflow.printable import printable

if TYPE_CHECKING:
    from kfp import dsl

# The metadata of an artifact must be small: a larger confusion matrix or a longer curve would not be stored.
_MOST_CLASSES, _MOST_POINTS = 50, 100
_LINES = 10
# Markdown renders HTML, and class names must not become markup.
_MARKUP = {ord(letter): f"\\{letter}" for letter in "<>|*_`[]\\"}


def for_record(model: str | Path, metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the record keeps of the figures, since the evaluation's own folder may be removed before it.

    Args:
        model: The folder of the model.
        metrics: The contents of metrics.json.
        settings: The settings of evaluate.

    Returns:
        "proportions", "figures" and "recalls" of the candidate as in metrics.json; "epochs", name -> value in each
        epoch of the training; "settings" of train and evaluate.
    """
    history = Path(model) / HISTORY_FILE
    return {
        **{name: metrics["candidate"][name] for name in ("proportions", "figures", "recalls")},
        "epochs": storage.read_json(str(history)) if history.exists() else {},
        "settings": {"train": read_model_info(model)["settings"], "evaluate": settings},
    }


def log_metrics(artifact: "dsl.Metrics", metrics: Mapping[str, Any]) -> None:
    """Logs the candidate's metrics; undefined ones are omitted, since no target accepts them.

    Args:
        artifact: The artifact to log to.
        metrics: The contents of metrics.json.
    """
    candidate = metrics["candidate"]
    for name, metric in {**candidate["proportions"], **candidate["figures"]}.items():
        for key, value in ((name, metric["value"]), (f"{name}_low", metric["low"]), (f"{name}_high", metric["high"])):
            if value is not None and math.isfinite(value):
                artifact.log_metric(key, float(value))


def log_classification(artifact: "dsl.ClassificationMetrics", metrics: Mapping[str, Any], predictions: Path) -> None:
    """Logs the ROC curve, micro-averaged over all classes, and the confusion matrix if each image has one class.

    Args:
        artifact: The artifact to log to.
        metrics: The contents of metrics.json.
        predictions: Path of predictions.parquet.
    """
    from sklearn import metrics as sklearn_metrics

    classes, confusion = list(metrics["candidate"]["recalls"]), metrics["candidate"]["confusion"]
    if confusion is not None and len(classes) <= _MOST_CLASSES:
        artifact.log_confusion_matrix(classes, confusion)
    table = pq.read_table(predictions)
    labels, scores = read_labels(table), np.stack(table["scores"].to_numpy())
    false, true, thresholds = sklearn_metrics.roc_curve(labels.ravel(), scores.ravel())
    shown = np.unique(np.linspace(0, len(false) - 1, _MOST_POINTS).astype(int))
    # The first threshold is infinite, which no target accepts.
    finite = np.minimum(thresholds[shown], 1.0)
    artifact.log_roc_curve(false[shown].tolist(), true[shown].tolist(), finite.astype(float).tolist())


def summary(verdict: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Returns the verdict in ten lines or fewer of Markdown.

    Args:
        verdict: The contents of verdict.json.
        metrics: The contents of metrics.json.
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
        lines.append(f"- **accepted by {_plain(anyway['by'])} despite failed checks: {_plain(anyway['reason'])}**")
    lines.append(f"- temperature {verdict['temperature']:g}, abstain threshold {verdict['abstain_threshold']:g}")
    return "\n".join([*lines, *_check_lines(verdict, _LINES - len(lines))]) + "\n"


def _check_lines(verdict: Mapping[str, Any], most: int) -> list[str]:
    """Returns a line for each failed check, as far as `most` lines allow, and the number of passed ones."""
    failed = [check for check in verdict["checks"] if check["passed"] is False]
    passed = sum(check["passed"] is True for check in verdict["checks"])
    lines = [f"- failed: {_subject(check)}: {_plain(check['why'])}" for check in failed]
    if len(lines) > most - 1:
        lines = [*lines[: most - 2], f"- failed: {len(lines) - most + 2} more"]
    return [*lines, f"- passed: {passed} of {passed + len(failed)} checks that apply"]


def _subject(check: Mapping[str, Any]) -> str:
    return _plain(check["name"]) + (f" of {_plain(check['slice'])}" if check["slice"] else "")


def _plain(text: str) -> str:
    return printable(" ".join(text.split())).translate(_MARKUP)
