"""Train a classifier: from scratch, or a head on a pretrained backbone with optional fine-tuning."""

import logging
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.train import networks, transfer_learning
from components.train.automatic import settle_network
from components.train.checkpoints import open_checkpoints, remove_checkpoints
from components.train.devices import choose_devices, dtype_policy, explain_out_of_memory
from components.train.interruption import defer_signals
from components.train.outputs import write_outputs
from components.train.phase import Phase
from components.train.settings import FROM_SCRATCH, TrainSettings, check_dataset, check_settings, pin_weights
from components.train.state import VALIDATION_ACCURACY, DoesNotFitError, TrainingState
from components.train.steps import Objective
from components.train.training import Training
from components.train.transfer_learning import majority_accuracy
from components.train.warm_start import warm_start
from petalflow import storage
from petalflow.dataset import open_dataset
from petalflow.model.files import HISTORY_FILE, MODEL_FILE, write_model_info
from petalflow.model.task import Task

log = logging.getLogger(__name__)

FROM_SCRATCH_PHASE = "from scratch"


def train(
    dataset_root: str | Path,
    out: str | Path,
    settings: TrainSettings,
    state_uri: str | None = None,
    warm_start_uri: str = "",
) -> dict[str, Any]:
    """Trains a model and writes it to the folder `out`: model.keras, model.json, history.json and files for people.

    The model has the weights of the best epoch.

    Args:
        dataset_root: Folder of the dataset.
        out: Folder to create.
        settings: What to train, and how.
        state_uri: Folder of checkpoints, from which a killed training resumes; removed when the model is complete. None
            for no checkpoints.
        warm_start_uri: Address of the release to start from, if the settings ask for a warm start; "" if nothing has
            been released yet.

    Returns:
        The contents of model.json.

    Raises:
        UsageError: If the settings contradict each other.
        PetalflowError: If the dataset is incomplete, or cannot be trained on.
    """
    check_settings(settings)
    dataset = open_dataset(dataset_root)
    check_dataset(dataset, settings)
    settings, chosen = settle_network(pin_weights(settings), dataset)
    check_settings(settings)  # a recipe, for one, may not suit the network that was chosen
    task = Task.of(len(dataset.classes), multi_label=dataset.multi_label)
    objective = Objective(task, len(dataset.classes), settings.label_smoothing)
    with (
        storage.building(out) as folder,
        defer_signals(state_uri) as interruption,
        open_checkpoints(state_uri) as checkpoints,
    ):
        devices = choose_devices(settings)
        state = TrainingState()
        training = Training(
            dataset, settings, task, devices, objective, state, interruption, checkpoints, warm_start_uri
        )
        start = time.monotonic()
        with dtype_policy(devices.policy), explain_out_of_memory(settings):
            model = _train_or_resume(training, chosen)
        if devices.policy != "float32":
            model = networks.to_float32(model)
        nothing_learned = _find_nothing_learned(training)
        state = training.state
        model.save(folder / MODEL_FILE)
        info = _describe(training, model, time.monotonic() - start) | {"nothing_learned": nothing_learned}
        (folder / HISTORY_FILE).write_text(state.history_json())
        write_model_info(folder, info)
        write_outputs(folder, dataset, settings, model, state)
    if state_uri:
        remove_checkpoints(state_uri)
    log.info(
        "best epoch %d of %d: validation accuracy %.4f", info["best_epoch"], state.epochs, info["validation_accuracy"]
    )
    return info


def _find_nothing_learned(training: Training) -> str:
    """Returns a warning if the network is no better than always predicting the most common class, else ""."""
    dataset, accuracy = training.dataset, training.state.best_metric(VALIDATION_ACCURACY)
    counts = [dataset.counts["validation"].get(name, 0) for name in dataset.classes]
    if not dataset.multi_label and sum(count > 0 for count in counts) == 1:
        training.note("the validation split has images of one class only, so it cannot show what was learned")
        return ""
    majority = majority_accuracy(counts, dataset.size("validation"), multi_label=dataset.multi_label)
    if accuracy > majority:
        return ""
    warning = (
        f"nothing was learned: validation accuracy {accuracy:.3f}, against {majority:.3f} for always "
        "predicting the most common class"
    )
    training.state.notes.append(warning)
    log.warning("%s; try another train.learning_rate, or train longer", warning)
    return warning


def _describe(training: Training, model: keras.Model, seconds: float) -> dict[str, Any]:
    state, settings, dataset = training.state, training.settings, training.dataset
    return {
        "validation_accuracy": state.best_metric(VALIDATION_ACCURACY),
        "best_epoch": (state.best_epoch or 0) + 1,
        "epochs": state.epochs,
        "classes": list(dataset.classes),
        "task": str(training.task),
        "image_size_px": settings.size_px,
        "fingerprint": dataset.fingerprint,
        "dataset": dataset.digest(),
        "parameters": model.count_params(),
        "seconds": round(seconds, 1),
        "devices": training.devices.names,
        "precision": training.devices.precision,
        "warm_started_from": training.warm_start_uri if settings.warm_start else "",
        "notes": state.notes,
        "settings": settings.model_dump(mode="json"),
        "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
    }


def _train_or_resume(training: Training, chosen: str) -> keras.Model:
    """Returns the trained network; training resumes from the newest state that fits it, or starts from scratch."""
    settings = training.settings
    from_scratch = settings.backbone in FROM_SCRATCH or settings.weights == "none"
    for state in training.resumable_states():
        training.state = state
        if chosen:
            training.note(chosen)
        keras.utils.set_random_seed(settings.seed)
        try:
            return _train_from_scratch(training) if from_scratch else transfer_learning.train_pretrained(training)
        except DoesNotFitError as error:
            log.warning("the checkpoint after epoch %d does not fit this network: %s", state.epochs, error)
    raise AssertionError("a new state always fits")


def _train_from_scratch(training: Training) -> keras.Model:
    settings, classes = training.settings, len(training.dataset.classes)
    with training.devices.strategy.scope():
        if settings.backbone in FROM_SCRATCH:
            model = networks.build_from_scratch(settings, training.task, classes)
        else:
            model = transfer_learning.build(training).whole  # random weights
    warm_start(training, model)
    log.info("%s from scratch, %s parameters", settings.backbone, f"{model.count_params():,}")
    feeds = training.image_feed("train"), training.image_feed("validation")
    training.run(0, lambda: Phase(FROM_SCRATCH_PHASE, model, *feeds, training.schedule()), trained=model)
    return model
