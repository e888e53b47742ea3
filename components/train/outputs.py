"""What a training leaves beside its model: for people."""

import contextlib
import csv
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import yaml

from components.train.settings import TrainSettings
from components.train.state import TrainingState
from petalflow.dataset import Dataset
from petalflow.model.files import CURVES_FILE
from petalflow.model.task import Task

log = logging.getLogger(__name__)

HISTORY_TABLE = "history.csv"
IMAGES = "images.png"
VARIATIONS = "augmentation.png"
SUMMARY = "summary.txt"
SETTINGS = "settings.yaml"
EVENTS = "tensorboard"
_SUMMARY_WIDTH = 120  # letters

# Name of a figure -> its value in each epoch; None where it was no number.
History = Mapping[str, Sequence[Any]]


def write_outputs(
    folder: Path, dataset: Dataset, settings: TrainSettings, model: keras.Model, state: TrainingState
) -> None:
    """Writes the history as a table, its curves, the settings, a summary, pictures, TensorBoard's event files.

    What cannot be written is said; the model, which took so much longer to make, is not lost for it.
    """
    history = json.loads(state.history_json())
    best_epoch = (state.best_epoch or 0) + 1
    outputs: dict[str, Callable[[], None]] = {
        HISTORY_TABLE: lambda: _write_table(folder / HISTORY_TABLE, history),
        SETTINGS: lambda: _write_settings(folder / SETTINGS, settings),
        SUMMARY: lambda: _write_summary(folder / SUMMARY, model),
        CURVES_FILE: lambda: _write_curves(folder / CURVES_FILE, dataset, history, best_epoch),
        IMAGES: lambda: _write_pictures(folder, dataset, settings),
        EVENTS: lambda: _write_events(folder, history),
    }
    for name, write in outputs.items():
        try:
            write()
        except Exception:
            log.warning("%s could not be written; the model is as it should be", name, exc_info=True)


def _write_table(path: Path, history: History) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["epoch", *history])
        table.writerows([epoch, *row] for epoch, row in enumerate(zip(*history.values(), strict=True), 1))


def _write_settings(path: Path, settings: TrainSettings) -> None:
    values = yaml.safe_dump({settings.section: settings.model_dump(mode="json")}, sort_keys=False, allow_unicode=True)
    head = "# Every setting of this training; the same again: petalflow train --dataset DIR --out DIR --config THIS\n"
    path.write_text(head + values, encoding="utf-8")


def _write_summary(path: Path, model: keras.Model) -> None:
    lines: list[str] = []
    with _as_wide_as(_SUMMARY_WIDTH):
        model.summary(line_length=_SUMMARY_WIDTH, print_fn=lines.append, expand_nested=True, show_trainable=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _as_wide_as(columns: int) -> Iterator[None]:
    # Keras cuts off what is wider than the terminal, which it takes for 80 where there is none; this says its width.
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(columns)
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


# Matplotlib takes a second to import, and is needed here alone.


def _write_curves(path: Path, dataset: Dataset, history: History, best_epoch: int) -> None:
    from components.train.curves import draw_curves

    several = Task.of(len(dataset.classes), multi_label=dataset.multi_label) is Task.MULTI_LABEL
    accuracy = "accuracy (share of right labels)" if several else "accuracy"
    path.write_bytes(draw_curves(history, best_epoch, accuracy))


def _write_pictures(folder: Path, dataset: Dataset, settings: TrainSettings) -> None:
    from components.train.pictures import draw_images, draw_variations, read_shown

    images, labels = read_shown(dataset, settings.image_size_px)
    (folder / IMAGES).write_bytes(draw_images(images, labels, dataset.classes))
    if settings.augment.is_on:
        (folder / VARIATIONS).write_bytes(draw_variations(images[0], settings.augment, settings.seed))


def _write_events(folder: Path, history: History) -> None:
    from components.train.event_files import write_event_files

    pictures = {Path(name).stem: folder / name for name in (IMAGES, VARIATIONS) if (folder / name).exists()}
    write_event_files(folder / EVENTS, history, pictures)
