"""The report: one HTML file that shows the verdict, the figures and the mistakes."""

import base64
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluate.measure import Measurement, Scores, most_confident_mistakes
from components.evaluate.settings import EvaluateSettings
from petalflow import __version__, imaging
from petalflow.dataset import Dataset
from petalflow.document import render
from petalflow.model.files import HISTORY_FILE, TrainedModel
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
        model_folder: Its folder, which holds the training history.
        labels: Of the test split, [n].
        scores: The candidate's, [n, classes].
        settings: Of evaluate.
    """
    history = json.loads((Path(model_folder) / HISTORY_FILE).read_text())
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
        curves=_curves(history, model.info["best_epoch"]),
        statistics=dataset.statistics,
        sizes={split: dataset.size(split) for split in dataset.counts},
        model=model.info,
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
            "picture": f"data:{media_type};base64,{base64.b64encode(data).decode()}",
            "filename": found[index].filename,
            "actual": dataset.classes[labels[index]],
            "actual_score": float(scores[index, labels[index]]),
            "predicted": dataset.classes[int(scores[index].argmax())],
            "score": float(scores[index].max()),
        }


def _curves(history: Mapping[str, Sequence[float]], best_epoch: int) -> str:
    """Returns loss and accuracy over the epochs as an SVG element."""
    import matplotlib

    matplotlib.use("svg")
    # Text as text, and a fixed salt for the ids: the same history gives the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "petalflow", "font.size": 9})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    epochs = range(1, len(history["loss"]) + 1)
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        # Apart by line style too, not by colour alone.
        axis.plot(epochs, history[name], color="#0072b2", marker=".", label="training")
        axis.plot(epochs, history[f"val_{name}"], color="#d55e00", linestyle="--", marker=".", label="validation")
        axis.axvline(best_epoch, color="#888888", linewidth=1, linestyle=":", label="best epoch")
        axis.set(title=name, xlabel="epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    return buffer.getvalue().partition("<svg")[2].join(["<svg", ""])
