"""Judge a candidate on the test split: figures, checks, verdict, report."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.evaluate.baseline import Baseline, score_baseline
from components.evaluate.measure import Measurement, Scores, measure
from components.evaluate.report import write_report
from components.evaluate.settings import EvaluateSettings
from petalflow import registry, storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.errors import PetalflowError
from petalflow.model.files import TrainedModel, load_model, model_sha256
from petalflow.model.scoring import score_model
from petalflow.progress import Counter
from petalflow.verdict import (
    METRICS_FILE,
    PREDICTIONS_FILE,
    REPORT_FILE,
    VERDICT_FILE,
    Check,
    Verdict,
    check_accuracy_drop,
    check_min,
)

log = logging.getLogger(__name__)

# Scores are calibrated by a later version; until then they leave as the model gave them.
_NO_CALIBRATION = 1.0


def evaluate(
    model_folder: str | Path,
    dataset_root: str | Path,
    out: str | Path,
    settings: EvaluateSettings,
    release: registry.Release | None,
) -> Verdict:
    """Judges a model and writes verdict.json, metrics.json, predictions.parquet and report.html.

    Args:
        model_folder: What train made.
        dataset_root: The dataset; its test split is what counts, every image of it.
        out: Folder to make.
        settings: The thresholds.
        release: The live release, or None if there is none.

    Raises:
        PetalflowError: If there are no test images, an image may have several labels, or the model has other classes
            than the dataset.
    """
    dataset = open_dataset(dataset_root)
    _check_can_be_judged(dataset)
    model = load_model(model_folder)
    _check_fit(model, dataset)
    with storage.building(out) as folder:
        total = dataset.size("test") * (2 if release else 1)
        counter = Counter("evaluate", total, "images")
        scores = score_model(model, dataset, "test", counter)
        if not np.isfinite(scores).all():
            raise PetalflowError("the model gives scores that are not numbers; train with a lower train.learning_rate")
        labels = np.array([label for (label,) in dataset.labels("test")], np.int64)
        baseline = score_baseline(release, dataset, labels, counter) if release else None
        mine = measure(labels, scores.argmax(axis=1), dataset.classes)
        theirs = _measure_baseline(baseline, labels, dataset) if baseline else None
        verdict = _judge(model, model_sha256(model_folder), dataset, settings, mine, labels, scores, baseline)
        storage.write_json(str(folder / VERDICT_FILE), verdict.to_json())
        metrics = {"candidate": mine.to_json(), "baseline": theirs.to_json() if theirs else None}
        storage.write_json(str(folder / METRICS_FILE), metrics)
        _write_predictions(folder / PREDICTIONS_FILE, dataset, labels, scores, baseline)
        write_report(
            folder / REPORT_FILE, verdict, mine, theirs, dataset, model, model_folder, labels, scores, settings
        )
    log.info("%s: %s", "accepted" if verdict.accepted else "refused", "; ".join(map(str, verdict.checks)))
    return verdict


def _check_can_be_judged(dataset: Dataset) -> None:
    if dataset.multi_label:
        raise PetalflowError(
            f"{dataset.root} has several labels an image, and evaluate judges models of one label alone so far; "
            "its model can be used as train made it, but is not released"
        )
    if not dataset.size("test"):
        raise PetalflowError(f"{dataset.root} has no test images, so nothing can be said of the model; add images")


def _check_fit(model: TrainedModel, dataset: Dataset) -> None:
    # The same source may have been converted otherwise: images of its other splits may be among these.
    trained_on = model.info.get("dataset")
    if model.info["fingerprint"] != dataset.fingerprint or (trained_on and trained_on != dataset.digest()):
        raise PetalflowError(
            "the model was trained on another dataset, whose training images may be among these test images; "
            "evaluate it on the dataset it was trained on"
        )
    if model.classes != dataset.classes:
        differ = sorted(set(model.classes) ^ set(dataset.classes))
        raise PetalflowError(
            f"the model and the dataset have other classes ({', '.join(differ)}); train on this dataset"
        )


def _judge(
    model: TrainedModel,
    sha256: str,
    dataset: Dataset,
    settings: EvaluateSettings,
    mine: Measurement,
    labels: NDArray[np.int64],
    scores: Scores,
    baseline: Baseline | None,
) -> Verdict:
    checks: list[Check] = []
    if settings.min_accuracy is not None:
        accuracy = mine.accuracy
        checks.append(check_min("min_accuracy", "", accuracy.successes, accuracy.trials, settings.min_accuracy))
    if settings.min_recall is not None:
        for name, recall in mine.recalls.items():
            checks.append(check_min("min_recall", name, recall.successes, recall.trials, settings.min_recall))
    if settings.max_accuracy_drop is not None:
        checks.append(_compare(labels, scores, baseline, settings.max_accuracy_drop))
    return Verdict(
        checks=checks,
        candidate={
            "accuracy": mine.accuracy.value,
            "backbone": model.info["settings"]["backbone"],
            "model_sha256": sha256,
            "validation_accuracy": model.info["validation_accuracy"],
        },
        baseline=baseline.facts if baseline else {"version": None, "why": "nothing was released under this name yet"},
        fingerprint=dataset.fingerprint,
        class_names=dataset.classes,
        test_images=len(labels),
        temperature=_NO_CALIBRATION,
        abstain_threshold=settings.abstain_threshold,
    )


def _compare(labels: NDArray[np.int64], scores: Scores, baseline: Baseline | None, margin: float) -> Check:
    name = "max_accuracy_drop"
    if baseline is None:
        return Check(name, "", None, None, -margin, None, "does not apply: there is no release to compare with")
    right = (scores.argmax(axis=1) == labels)[baseline.comparable]
    was_right = (baseline.predicted == labels)[baseline.comparable]
    return check_accuracy_drop(
        name, int((right & ~was_right).sum()), int((~right & was_right).sum()), len(right), margin
    )


def _measure_baseline(baseline: Baseline, labels: NDArray[np.int64], dataset: Dataset) -> Measurement:
    return measure(labels[baseline.comparable], baseline.predicted[baseline.comparable], dataset.classes)


def _write_predictions(
    path: Path, dataset: Dataset, labels: NDArray[np.int64], scores: Scores, baseline: Baseline | None
) -> None:
    def names(indices: NDArray[np.int64]) -> list[str | None]:
        return [dataset.classes[index] if index >= 0 else None for index in indices]

    records = [(record.filename, record.sha256) for record in dataset.records("test")]
    columns: dict[str, Any] = {
        "filename": [filename for filename, _ in records],
        "sha256": [sha256 for _, sha256 in records],
        "label": names(labels),
        "predicted": names(scores.argmax(axis=1)),
        "scores": pa.array(list(scores), pa.list_(pa.float32())),
    }
    if baseline:
        columns["baseline_predicted"] = names(baseline.predicted)
    pq.write_table(pa.table(columns), path)
