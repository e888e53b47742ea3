"""What a training leaves beside its model: for people."""

from pathlib import Path

import keras

from components.train.settings import TrainSettings
from components.train.state import TrainingState
from petalflow.dataset import Dataset


def write_outputs(
    folder: Path, dataset: Dataset, settings: TrainSettings, model: keras.Model, state: TrainingState
) -> None:
    """Writes history.csv, the training curves, a grid of training images, TensorBoard's event files, a summary."""
