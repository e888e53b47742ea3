"""The report: one HTML file that shows the verdict, the figures and the mistakes."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluate.answers import Answers
from components.evaluate.evaluation import Evaluation
from components.evaluate.settings import EvaluateSettings
from petalflow import __version__, imaging
from petalflow.dataset import Dataset
from petalflow.document import render
from petalflow.model.files import CURVES_FILE
from petalflow.model.task import Task
from petalflow.settings import flat
from petalflow.verdict import Verdict

_PICTURE_PX = 160


def write_report(
    path: Path, found: Evaluation, verdict: Verdict, model_folder: str | Path, settings: EvaluateSettings
) -> None:
    """Writes the report; it refers to nothing outside itself.

    Args:
        path: The file to write.
        found: What is known of the candidate.
        verdict: What was decided.
        model_folder: The candidate's folder, which holds the training curves.
        settings: Of evaluate.
    """
    curves, answers, model = Path(model_folder) / CURVES_FILE, found.evidence.answers, found.model
    measurement, baseline = found.evidence.measurement, found.baseline_measurement
    mistakes = list(_mistakes(found.dataset, answers, settings.shown_images))
    html = render(
        __package__,
        "report.html.j2",
        verdict=verdict,
        candidate=measurement.to_json(),
        baseline=baseline.to_json() if baseline else None,
        classes=found.dataset.classes,
        confusion=None if measurement.confusion is None else _shaded(measurement.confusion),
        mistakes=mistakes,
        mistake_count=int((~answers.right).sum()),
        curves=_embedded(curves.read_bytes(), "image/png") if curves.exists() else None,
        statistics=found.dataset.statistics,
        sizes={split: found.dataset.size(split) for split in found.dataset.counts},
        model=model.info,
        notes=model.info.get("notes", []),
        settings={name: _shown(value) for name, value in flat(model.info["settings"]).items()},
        version=__version__,
    )
    path.write_text(html, encoding="utf-8")


def _shaded(confusion: NDArray[np.int64]) -> list[list[dict[str, Any]]]:
    """Returns each cell's count and its share of the row, 0..1."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return [
        [{"count": int(count), "share": round(float(share), 3)} for count, share in zip(row, row_shares, strict=True)]
        for row, row_shares in zip(confusion, shares, strict=True)
    ]


def _mistakes(dataset: Dataset, answers: Answers, limit: int) -> Iterator[Mapping[str, Any]]:
    if answers.task is Task.MULTI_LABEL:
        return
    wrong = np.flatnonzero(~answers.right)
    order = [int(at) for at in wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:limit]]
    wanted, labels, scores = set(order), answers.labels, answers.scores
    # Pictures are read again rather than kept: memory must not grow with the test split.
    found = {index: record for index, record in enumerate(dataset.records("test")) if index in wanted}
    for index in order:
        data, media_type = imaging.thumbnail(found[index].image, _PICTURE_PX)
        yield {
            "picture": _embedded(data, media_type),
            "filename": found[index].filename,
            "actual": dataset.classes[labels[index]],
            "actual_score": float(scores[index, labels[index]]),
            "predicted": dataset.classes[int(scores[index].argmax())],
            "score": float(scores[index].max()),
        }


def _shown(value: Any) -> str:
    """Returns a setting's value as it is given on the command line."""
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value)


def _embedded(data: bytes, media_type: str) -> str:
    """Returns a picture as an address that holds all of it."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
