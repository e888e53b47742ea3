"""The report: one HTML file that shows the verdict, the figures and the mistakes."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluate.measure import Measurement, Scores, most_confident_mistakes
from components.evaluate.settings import EvaluateSettings
from petalflow import __version__, imaging
from petalflow.dataset import Dataset
from petalflow.document import render
from petalflow.model.files import CURVES_FILE, TrainedModel
from petalflow.settings import flat
from petalflow.verdict import Verdict

_PICTURE_PX = 160


def write_report(
    path: Path,
    verdict: Verdict,
    candidate: Measurement,
    baseline: Measurement | None,
    dataset: Dataset,
    model: TrainedModel,
    model_folder: str | Path,
    labels: NDArray[np.int64],
    scores: Scores,
    settings: EvaluateSettings,
) -> None:
    """Writes the report; it refers to nothing outside itself.

    Args:
        path: The file to write.
        verdict: What was decided.
        candidate: Figures of the candidate.
        baseline: Figures of the live release, or None.
        dataset: Its test split holds the pictures.
        model: The candidate.
        model_folder: Its folder, which holds the training curves.
        labels: Of the test split, [n].
        scores: The candidate's, [n, classes].
        settings: Of evaluate.
    """
    curves = Path(model_folder) / CURVES_FILE
    html = render(
        __package__,
        "report.html.j2",
        verdict=verdict,
        candidate=candidate.to_json(),
        baseline=baseline.to_json() if baseline else None,
        classes=dataset.classes,
        confusion=_shaded(candidate.confusion),
        mistakes=list(_mistakes(dataset, labels, scores, settings.shown_mistakes)),
        mistake_count=int((scores.argmax(axis=1) != labels).sum()),
        curves=_embedded(curves.read_bytes(), "image/png") if curves.exists() else None,
        statistics=dataset.statistics,
        sizes={split: dataset.size(split) for split in dataset.counts},
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


def _mistakes(dataset: Dataset, labels: NDArray[np.int64], scores: Scores, limit: int) -> Iterator[Mapping[str, Any]]:
    order = most_confident_mistakes(labels, scores, limit)
    wanted = set(order)
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
