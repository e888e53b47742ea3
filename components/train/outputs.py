"""The files for people that a training writes next to its model, and its metadata for the pipeline."""

import contextlib
import csv
import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import yaml
from PIL import Image

from components.train.settings import TrainSettings
from components.train.state import ACCURACY, LOSS, RATE, SECONDS, TrainingState
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
_SUMMARY_WIDTH = 120  # characters

# Name of a metric -> its value in each epoch; None if it was NaN.
History = Mapping[str, Sequence[Any]]


def write_outputs(
    folder: Path, dataset: Dataset, settings: TrainSettings, model: keras.Model, state: TrainingState
) -> None:
    """Writes the history as a table and curves, the settings, a summary, sample images and TensorBoard event files.

    A file that cannot be written is logged and does not fail the training, which took so much longer.
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
        except Exception:  # files for people: whatever fails, the model itself is complete
            log.warning("%s could not be written; the model is complete", name, exc_info=True)


def _write_table(path: Path, history: History) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["epoch", *history])
        table.writerows([epoch, *row] for epoch, row in enumerate(zip(*history.values(), strict=True), 1))


def _write_settings(path: Path, settings: TrainSettings) -> None:
    values = yaml.safe_dump({settings.section: settings.model_dump(mode="json")}, sort_keys=False, allow_unicode=True)
    head = "# All settings of this training; repeat it: petalflow train --dataset DIR --out DIR --config FILE\n"
    path.write_text(head + values, encoding="utf-8")


def _write_summary(path: Path, model: keras.Model) -> None:
    lines: list[str] = []
    with _terminal_width(_SUMMARY_WIDTH):
        model.summary(line_length=_SUMMARY_WIDTH, print_fn=lines.append, expand_nested=True, show_trainable=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _terminal_width(columns: int) -> Iterator[None]:
    # Keras truncates lines to the width of the terminal, 80 without one; COLUMNS sets it.
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(columns)
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


# Matplotlib takes a second to import; only these functions need it.


def _write_curves(path: Path, dataset: Dataset, history: History, best_epoch: int) -> None:
    from components.train.plots import draw_curves

    several = Task.of(len(dataset.classes), multi_label=dataset.multi_label) is Task.MULTI_LABEL
    accuracy = "accuracy (share of correct labels)" if several else "accuracy"
    path.write_bytes(draw_curves(history, best_epoch, accuracy))


def _write_pictures(folder: Path, dataset: Dataset, settings: TrainSettings) -> None:
    from components.train.plots import draw_images, draw_variations, read_sample

    images, labels = read_sample(dataset, settings.size_px)
    (folder / IMAGES).write_bytes(draw_images(images, labels, dataset.classes))
    if settings.augment.is_on:
        (folder / VARIATIONS).write_bytes(draw_variations(images[0], settings.augment, settings.seed))


def _write_events(folder: Path, history: History) -> None:
    pictures = {Path(name).stem: folder / name for name in (IMAGES, VARIATIONS) if (folder / name).exists()}
    write_event_files(folder / EVENTS, history, pictures)


# TensorBoard reads every file with "tfevents" in its name; it calls folders runs.
_FILE = "events.out.tfevents.petalflow"
_VERSION = "brain.Event:2"
_RUNS = {
    "train": {LOSS: LOSS, ACCURACY: ACCURACY, RATE: RATE},
    "validation": {LOSS: f"val_{LOSS}", ACCURACY: f"val_{ACCURACY}"},
}

Event, Summary = tf.compat.v1.Event, tf.compat.v1.Summary


def write_event_files(folder: Path, history: Mapping[str, Sequence[Any]], pictures: Mapping[str, Path]) -> None:
    """Writes TensorBoard's event files of two runs, train and validation, which TensorBoard draws in one chart.

    They are written directly, as TFRecords of events: `tf.summary` needs TensorBoard installed, and stamps every event
    with the time of day.

    Steps are epochs, from 1. Times are seconds of training, so that the same history gives the same bytes.

    Args:
        folder: The folder to create.
        history: Name of a metric -> its value in each epoch; None if it was NaN.
        pictures: Name -> PNG file, for the run train.
    """
    for run, metrics in _RUNS.items():
        events = list(_scalars(history, metrics))
        if run == "train":
            events += [_image(name, path) for name, path in pictures.items()]
        (folder / run).mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / run / _FILE)) as writer:
            for event in (Event(wall_time=0, file_version=_VERSION), *events):
                writer.write(event.SerializeToString())


def _scalars(history: Mapping[str, Sequence[Any]], metrics: Mapping[str, str]) -> Iterable[Any]:
    spent_s = 0.0
    for index, seconds in enumerate(history[SECONDS]):
        spent_s += seconds
        values = {
            tag: math.nan if history[name][index] is None else history[name][index] for tag, name in metrics.items()
        }
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        yield Event(wall_time=spent_s, step=index + 1, summary=summary)


def _image(name: str, path: Path) -> Any:
    with Image.open(path) as picture:
        width, height = picture.size
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=path.read_bytes())
    return Event(wall_time=0, step=0, summary=Summary(value=[Summary.Value(tag=name, image=image)]))


def artifact_metadata(info: Mapping[str, Any]) -> dict[str, str | int | float]:
    """Returns the model artifact's metadata: strings and numbers, which every target accepts.

    Unknown values are omitted: NaN and None would fail the task that records them.

    Args:
        info: The contents of model.json.
    """
    settings = info["settings"]
    facts = {
        "task": info["task"],
        "backbone": settings["backbone"],
        "settings": json.dumps(settings, sort_keys=True),
        "best_epoch": info["best_epoch"],
        "epochs": info["epochs"],
        "validation_accuracy": info["validation_accuracy"],
        "warm_started_from": info["warm_started_from"],
        "notes": "; ".join(info["notes"]),
        **{f"{name}_version": version for name, version in info["versions"].items()},
    }
    return {name: value for name, value in facts.items() if _is_known(value)}


def _is_known(value: object) -> bool:
    return value not in (None, "") and not (isinstance(value, float) and not math.isfinite(value))
