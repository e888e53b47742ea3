"""Train a classifier: from scratch, or a head on a pretrained backbone whose last layers may follow."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.train import checkpoint, networks, pretrained
from components.train.check import FROM_SCRATCH, check_dataset, check_settings
from components.train.devices import choose_devices
from components.train.interruption import put_off
from components.train.objective import Objective
from components.train.outputs import write_outputs
from components.train.phase import Phase
from components.train.settings import TrainSettings
from components.train.state import VALIDATION_ACCURACY, TrainingState
from components.train.training import Training
from petalflow import storage
from petalflow.dataset import open_dataset
from petalflow.model.files import HISTORY_FILE, MODEL_FILE, write_model_info
from petalflow.model.task import Task

log = logging.getLogger(__name__)

SCRATCH = "from scratch"


def train(
    dataset_root: str | Path,
    out: str | Path,
    settings: TrainSettings,
    state_uri: str | None = None,
) -> dict[str, Any]:
    """Trains a model and writes it to the folder `out`: model.keras, model.json, history.json and pictures.

    The model that leaves is that of the best epoch.

    Args:
        dataset_root: The dataset.
        out: Folder to make.
        settings: What to train, and how.
        state_uri: Folder for what a killed training needs to go on; None to start anew each time.
            It is removed when the model is there.

    Returns:
        What model.json holds.

    Raises:
        UsageError: If the settings do not fit together.
        PetalflowError: If the dataset is not complete, or cannot be trained on.
    """
    check_settings(settings)
    dataset = open_dataset(dataset_root)
    check_dataset(dataset, settings)
    keras.utils.set_random_seed(settings.seed)
    task = Task.of(len(dataset.classes), multi_label=dataset.multi_label)
    objective = Objective(task, len(dataset.classes), settings.label_smoothing)
    with storage.building(out) as folder, put_off() as interruption:
        devices = choose_devices(settings)
        state = (checkpoint.load(state_uri) if state_uri else None) or TrainingState()
        if state.epochs or state.step:
            log.info("going on after epoch %d%s", state.epochs, f", step {state.step}" if state.step else "")
        training = Training(dataset, settings, task, devices, objective, state, interruption, state_uri)
        began = time.monotonic()
        from_scratch = settings.backbone in FROM_SCRATCH or settings.weights == "none"
        model = _train_from_scratch(training) if from_scratch else pretrained.train_pretrained(training)
        model.save(folder / MODEL_FILE)
        info = _facts(training, model, time.monotonic() - began)
        (folder / HISTORY_FILE).write_text(json.dumps(state.history, indent=1))
        write_model_info(folder, info)
        write_outputs(folder, dataset, settings, model, state)
    if state_uri:
        checkpoint.remove(state_uri)
    log.info(
        "best epoch %d of %d: validation accuracy %.4f", info["best_epoch"], state.epochs, info["validation_accuracy"]
    )
    return info


def _facts(training: Training, model: keras.Model, seconds: float) -> dict[str, Any]:
    state, settings, dataset = training.state, training.settings, training.dataset
    return {
        "validation_accuracy": state.best_of(VALIDATION_ACCURACY),
        "best_epoch": (state.best_epoch or 0) + 1,
        "epochs": state.epochs,
        "classes": list(dataset.classes),
        "task": str(training.task),
        "image_size_px": settings.image_size_px,
        "fingerprint": dataset.fingerprint,
        "parameters": model.count_params(),
        "seconds": round(seconds, 1),
        "notes": state.notes,
        "settings": settings.model_dump(mode="json"),
        "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
    }


def _train_from_scratch(training: Training) -> keras.Model:
    settings, classes = training.settings, len(training.dataset.classes)
    with training.devices.strategy.scope():
        if settings.backbone in FROM_SCRATCH:
            model = networks.build_from_scratch(settings, training.task, classes)
        else:
            model = pretrained.build(training).whole  # with random weights
            model.trainable = True
    log.info("%s from scratch, %s parameters", settings.backbone, f"{model.count_params():,}")
    feeds = training.images("train"), training.images("validation")
    training.run(0, lambda: Phase(SCRATCH, model, *feeds, training.learning()))
    return model
