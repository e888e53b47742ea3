"""The table of all predictions: predictions.parquet, which common data tools read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.evaluate.evidence import Evidence
from components.evaluate.slices import CLASS
from petalflow.dataset import Entry
from petalflow.metrics.predictions import Predictions
from petalflow.model.task import Task


def write_predictions(path: Path, entries: Sequence[Entry], evidence: Evidence) -> None:
    """Writes one row per image, in record order.

    Columns: filename, sha256, label, predicted, scores (in the order of the classes in the schema's metadata) and
    slice_KIND; with a baseline also baseline_predicted, baseline_scores and compared (True if the baseline may be
    compared on the image). If an image may have several classes, label and predicted are lists.

    Args:
        path: The file to write.
        entries: The index entries of the images, [n].
        evidence: The predictions of the candidate and of the live release.
    """
    classes, predictions, baseline = evidence.classes, evidence.predictions, evidence.baseline
    columns: dict[str, Any] = {
        "filename": [entry.filename for entry in entries],
        "sha256": [entry.sha256 for entry in entries],
        "label": _class_names(predictions.labels, classes, predictions.task),
        "predicted": _class_names(predictions.predicted, classes, predictions.task),
        "scores": _scores(predictions),
    }
    for kind, slices in evidence.slices.items():
        if kind != CLASS and " × " not in kind:
            columns[f"slice_{kind}"] = _slice_values(slices, len(entries))
    if baseline:
        columns["baseline_predicted"] = _class_names(baseline.predictions.predicted, classes, predictions.task)
        columns["baseline_scores"] = _scores(baseline.predictions)
        columns["compared"] = pa.array(baseline.comparable)
    table = pa.table(columns).replace_schema_metadata({"classes": json.dumps(list(classes), ensure_ascii=False)})
    pq.write_table(table, path)


def read_labels(table: pa.Table) -> NDArray[np.bool_]:
    """Returns the classes of each image in a table of predictions, [n, classes]."""
    classes = json.loads(table.schema.metadata[b"classes"])
    labels = [label if isinstance(label, list) else [label] for label in table["label"].to_pylist()]
    return np.array([[name in of_image for name in classes] for of_image in labels], bool).reshape(-1, len(classes))


def _class_names(chosen: Any, classes: Sequence[str], task: Task) -> pa.Array:
    if task is Task.MULTI_LABEL:
        named = [[name for name, has_class in zip(classes, row, strict=True) if has_class] for row in chosen]
        return pa.array(named, pa.list_(pa.string()))
    names = np.array([*classes, None], object)
    return pa.array(names[np.where(chosen.any(axis=1), chosen.argmax(axis=1), len(classes))], pa.string())


def _scores(predictions: Predictions) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(predictions.scores.ravel()), predictions.scores.shape[1])


def _slice_values(slices: dict[str, Any], images: int) -> list[str | None]:
    values: list[str | None] = [None] * images
    for name, inside in slices.items():
        for index in np.flatnonzero(inside):
            values[index] = name.partition("=")[2]
    return values
