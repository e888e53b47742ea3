"""The report of an evaluation: one HTML file with the verdict, the metrics, and the mistakes of the model."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.evaluate.calibration import Abstention
from components.evaluate.evaluation import Evaluation
from components.evaluate.report import charts, tables
from components.evaluate.report.galleries import Choice, choose, mistakes, side_by_side
from components.evaluate.report.pictures import Picture, embedded, read_pictures
from components.evaluate.settings import EvaluateSettings
from petalflow import __version__, clock
from petalflow.dataset import PAGE_FILE
from petalflow.document import render
from petalflow.metrics.metrics import reliability
from petalflow.model.files import CURVES_FILE
from petalflow.settings import flat
from petalflow.verdict import Verdict

log = logging.getLogger(__name__)

# With thumbnails of 6 to 8 kB, the page stays small enough for mail and browsers.
_MOST_PICTURES = 200
_MOST_EXPLAINED = 12
_BEST_SCORES = 3
_BESIDE = re.compile(rb'<a class="beside"[^>]*>(.*?)</a>')


def write_report(
    path: Path, found: Evaluation, verdict: Verdict, model_folder: str | Path, settings: EvaluateSettings
) -> None:
    """Writes the report as one self-contained file.

    Args:
        path: The file to write.
        found: The evaluation.
        verdict: Its verdict.
        model_folder: The folder of the candidate, with the training curves.
        settings: The settings of evaluate.
    """
    predictions = found.evidence.predictions
    explained = mistakes(predictions)[: min(settings.shown_images, _MOST_EXPLAINED)]
    choice = choose(predictions, settings.shown_images, _MOST_PICTURES, [image for image, _ in explained])
    pictures, attention = _pictures(found, choice, explained)
    html = render(
        __package__,
        "page.html.j2",
        found=found,
        verdict=verdict,
        settings=settings,
        predictions=predictions,
        task=str(predictions.task),
        classes=found.dataset.classes,
        model=found.model.info,
        pictures=pictures,
        cards=dict(_cards(found, pictures)),
        choice=choice,
        explained=explained,
        mislabelled=found.mislabelled,
        run=found.run,
        dataset_page=PAGE_FILE if (found.dataset.root / PAGE_FILE).exists() else "",
        version=__version__,
        evaluated_at=clock.stamp(),
        **attention,
        **_tables(found, verdict, settings),
        **_confusion(found, choice),
        **_confidence(found, verdict.abstain_threshold),
        **_origin(found, model_folder, settings),
    )
    path.write_text(html, encoding="utf-8")


def without_neighbours(page: bytes) -> bytes:
    """Returns a report without its links to files next to it, for places where it is shown alone."""
    return _BESIDE.sub(rb"\1", page)


def _pictures(
    found: Evaluation, choice: Choice, explained: Sequence[tuple[int, int]]
) -> tuple[dict[int, Picture], dict[str, Any]]:
    """Returns the thumbnails by index, and the explanations of some of these images."""
    from components.evaluate.report.activations import activations
    from components.evaluate.report.gradcam import looks

    worst, examples = side_by_side(choice)
    examined = [*(image for image, _ in explained), *examples]
    records = found.images.records(found.dataset)
    pictures, inputs = read_pictures(records, choice.images, examined, found.model.image_size_px)
    of_mistakes, of_examples = inputs[: len(explained)], inputs[len(explained) :]
    titles = ["correct" if found.evidence.predictions.predicted[image, worst] else "missed" for image in examples]
    return pictures, {
        "looks": _draw_if_possible(
            "Grad-CAM", looks, found.model, explained, of_mistakes, pictures, found.evidence.predictions
        ),
        "activations": _draw_if_possible("the first layers", activations, found.model, of_examples, titles),
        "examples_of": found.dataset.classes[worst],
    }


def _draw_if_possible(what: str, draw: Callable[..., Any], *arguments: Any) -> Any:
    """Returns what `draw` returns, or None if it fails: a verdict must not be lost because of a picture."""
    try:
        return draw(*arguments)
    except Exception:  # an unusual network can fail in any way
        log.warning("the report lacks %s because drawing failed; everything else is complete", what, exc_info=True)
        return None


def _tables(found: Evaluation, verdict: Verdict, settings: EvaluateSettings) -> dict[str, Any]:
    return {
        "overall": tables.overall_rows(found, settings),
        "of_classes": tables.class_rows(found),
        "slices": list(tables.slice_rows(found, verdict.checks)),
    }


def _confusion(found: Evaluation, choice: Choice) -> dict[str, Any]:
    counts = found.evidence.metrics.confusion
    of_pairs = {} if counts is None else tables.cells(counts, found.evidence.predictions, choice.images)
    return {
        "cells": of_pairs,
        "commonest": tables.commonest(of_pairs),
        "is_matrix": len(found.dataset.classes) <= tables.MOST_CLASSES,
    }


def _confidence(found: Evaluation, abstain_threshold: float) -> dict[str, Any]:
    predictions = found.evidence.predictions
    coverage = charts.Coverage.of(Abstention(predictions.confidence, predictions.correct), abstain_threshold)
    before, after = reliability(found.uncalibrated).to_json(), found.evidence.metrics.reliability
    return {
        "coverage": coverage,
        "coverage_chart": charts.coverage_chart(coverage),
        "reliability_chart": charts.reliability_chart(before, after),
        "calibrated": found.temperature != 1,
    }


def _origin(found: Evaluation, model_folder: str | Path, settings: EvaluateSettings) -> dict[str, Any]:
    curves = Path(model_folder) / CURVES_FILE
    return {
        "curves": embedded(curves.read_bytes(), "image/png") if curves.exists() else None,
        "sizes": {split: found.dataset.size(split) for split in found.dataset.counts},
        "statistics": found.dataset.statistics,
        "train_settings": _full_names(found.model.info["settings"]),
        "evaluate_settings": _full_names(settings.model_dump(mode="json")),
    }


def _cards(found: Evaluation, pictures: Mapping[int, Picture]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the caption of each image: index, label, prediction, and the highest scores."""
    predictions, classes = found.evidence.predictions, found.dataset.classes
    correct = predictions.correct
    for image, picture in pictures.items():
        labels, scores = predictions.labels[image], predictions.scores[image]
        best = np.argsort(-scores, kind="stable")[:_BEST_SCORES].tolist()
        best += [at for at in np.flatnonzero(labels).tolist() if at not in best]
        yield (
            image,
            {
                "picture": picture,
                "actual": _named(labels, classes),
                "predicted": _named(predictions.predicted[image], classes),
                "correct": bool(correct[image]),
                "scores": [(classes[at], float(scores[at]), bool(labels[at])) for at in best],
            },
        )


def _named(chosen: np.ndarray, classes: Sequence[str]) -> str:
    return ", ".join(classes[at] for at in np.flatnonzero(chosen).tolist()) or "no label"


def _full_names(settings: Mapping[str, Any]) -> dict[str, str]:
    """Returns settings by their full names, as written on the command line."""
    return {
        name: "–" if value is None else value if isinstance(value, str) else json.dumps(value)
        for name, value in flat(settings).items()
    }
