"""TensorBoard's event files, written as what they are: TFRecords of events.

tf.summary would need TensorBoard itself to be installed, and stamps the time of day on everything.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from PIL import Image

from components.train.state import ACCURACY, LOSS, RATE, SECONDS

# TensorBoard takes any file with "tfevents" in its name; folders are what it calls runs.
_FILE = "events.out.tfevents.petalflow"
_VERSION = "brain.Event:2"
_RUNS = {
    "train": {LOSS: LOSS, ACCURACY: ACCURACY, RATE: RATE},
    "validation": {LOSS: f"val_{LOSS}", ACCURACY: f"val_{ACCURACY}"},
}

Event, Summary = tf.compat.v1.Event, tf.compat.v1.Summary


def write_event_files(folder: Path, history: Mapping[str, Sequence[Any]], pictures: Mapping[str, Path]) -> None:
    """Writes two runs, train and validation, so that TensorBoard draws both into one chart.

    Steps are epochs, from 1. Times are seconds of training, so that the same history gives the same bytes.

    Args:
        folder: To make.
        history: Name of a figure -> its value in each epoch; None where it was no number.
        pictures: Name -> PNG file; they go into the run train.
    """
    for run, figures in _RUNS.items():
        events = list(_scalars(history, figures))
        if run == "train":
            events += [_image(name, path) for name, path in pictures.items()]
        (folder / run).mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / run / _FILE)) as writer:
            for event in (Event(wall_time=0, file_version=_VERSION), *events):
                writer.write(event.SerializeToString())


def _scalars(history: Mapping[str, Sequence[Any]], figures: Mapping[str, str]) -> Iterable[Any]:
    spent_s = 0.0
    for index, seconds in enumerate(history[SECONDS]):
        spent_s += seconds
        values = {
            tag: math.nan if history[name][index] is None else history[name][index] for tag, name in figures.items()
        }
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        yield Event(wall_time=spent_s, step=index + 1, summary=summary)


def _image(name: str, path: Path) -> Any:
    with Image.open(path) as picture:
        width, height = picture.size
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=path.read_bytes())
    return Event(wall_time=0, step=0, summary=Summary(value=[Summary.Value(tag=name, image=image)]))
