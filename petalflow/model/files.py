"""The folder of a trained model: `model.keras` and what is needed to read it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petalflow import storage
from petalflow.model.task import Task

if TYPE_CHECKING:
    import keras

MODEL_FILE = "model.keras"
INFO_FILE = "model.json"
HISTORY_FILE = "history.json"
CURVES_FILE = "curves.png"


@dataclass(frozen=True)
class TrainedModel:
    """A model with its classes and task.

    Attributes:
        keras_model: From images [batch, size, size, 3] of 0..255 to probabilities [batch, units of the task].
        classes: Class names, in the order of the scores that `class_scores` makes of its outputs.
        task: The task that it learned.
        image_size_px: Height and width of its input.
        info: The contents of model.json.
    """

    keras_model: "keras.Model"
    classes: tuple[str, ...]
    task: Task
    image_size_px: int
    info: dict[str, Any]


def write_model_info(folder: Path, info: dict[str, Any]) -> None:
    """Writes model.json; `info` must have "classes", "task" and "image_size_px"."""
    storage.write_json(str(folder / INFO_FILE), info)


def model_sha256(folder: str | Path) -> str:
    """Returns the SHA-256 of a trained model's file, which identifies it from evaluation to release."""
    with (Path(folder) / MODEL_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_model_info(folder: str | Path) -> dict[str, Any]:
    """Returns the contents of a trained model's model.json, without loading the model.

    Raises:
        PetalflowError: If the folder is not complete.
    """
    storage.check_complete(folder, "model", INFO_FILE)
    return dict(storage.read_json(str(Path(folder) / INFO_FILE)))


def load_model(folder: str | Path) -> TrainedModel:
    """Returns the model in a folder that train wrote.

    Raises:
        PetalflowError: If the folder is not complete.
    """
    import keras

    info = read_model_info(folder)
    # safe_mode refuses models that would run their own code on loading.
    model = keras.models.load_model(Path(folder) / MODEL_FILE, compile=False, safe_mode=True)
    # Versions that knew a single task did not record it.
    task = Task(info.get("task", Task.MULTI_CLASS))
    return TrainedModel(model, tuple(info["classes"]), task, info["image_size_px"], info)
