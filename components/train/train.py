"""Train a classifier: on a frozen backbone's features computed once, or from scratch."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.train import checkpoint, networks
from components.train.backbones import load_backbone
from components.train.check import FROM_SCRATCH, check_settings
from components.train.checkpoint import TrainingState
from components.train.settings import TrainSettings
from petalflow import accelerators, storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.dataset.reading import decoded_images
from petalflow.errors import PetalflowError
from petalflow.model.files import HISTORY_FILE, MODEL_FILE, write_model_info
from petalflow.progress import Counter, Progress

log = logging.getLogger(__name__)

# Images a call of the backbone: large enough to fill two cores, small enough for any memory.
_FEATURE_BATCH = 64


@dataclass(frozen=True)
class Split:
    """What the trained part of the network is fed with.

    Attributes:
        examples: Pairs of an input (an image or its features) and a label, in record order.
        images: How many there are.
    """

    examples: tf.data.Dataset
    images: int


def train(
    dataset_root: str | Path, out: str | Path, settings: TrainSettings, state_uri: str | None = None
) -> dict[str, Any]:
    """Trains a model and writes it to the folder `out`: model.keras, model.json, history.json.

    The model that leaves is the one of the epoch with the lowest validation loss.

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
        PetalflowError: If the dataset is not complete.
    """
    check_settings(settings)
    dataset = open_dataset(dataset_root)
    if dataset.multi_label:
        raise PetalflowError(
            f"{dataset_root} may have several classes an image, which train cannot learn yet; convert a source that "
            "gives each image one, without convert.multi_label"
        )
    for split in ("train", "validation"):
        if not dataset.size(split):
            raise PetalflowError(f"{dataset_root} has no {split} images; add images and convert again")
    keras.utils.set_random_seed(settings.seed)
    with storage.building(out) as folder:
        started = time.monotonic()
        if settings.backbone in FROM_SCRATCH:
            model, state = _train_from_scratch(dataset, settings, state_uri)
        else:
            model, state = _train_on_features(dataset, settings, state_uri)
        history, best = state.history, state.best_epoch
        model.save(folder / MODEL_FILE)
        (folder / HISTORY_FILE).write_text(json.dumps(history, indent=1))
        info = {
            "classes": list(dataset.classes),
            "image_size_px": settings.image_size_px,
            "fingerprint": dataset.fingerprint,
            "best_epoch": best + 1,
            "epochs": len(history["val_loss"]),
            "validation_accuracy": history["val_accuracy"][best],
            "parameters": model.count_params(),
            "seconds": round(time.monotonic() - started, 1),
            "settings": settings.model_dump(mode="json"),
            "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
        }
        write_model_info(folder, info)
    if state_uri:
        checkpoint.remove(state_uri)
    log.info("best epoch %d of %d: validation accuracy %.4f", best + 1, info["epochs"], info["validation_accuracy"])
    return info


def _train_from_scratch(
    dataset: Dataset, settings: TrainSettings, state_uri: str | None
) -> tuple[keras.Model, TrainingState]:
    model = networks.build_from_scratch(settings, len(dataset.classes))
    log.info("%s from scratch, %s parameters", settings.backbone, f"{model.count_params():,}")
    train, validation = (_images(dataset, split, settings) for split in ("train", "validation"))
    return model, _fit(model, train, validation, settings, state_uri)


def _train_on_features(
    dataset: Dataset, settings: TrainSettings, state_uri: str | None
) -> tuple[keras.Model, TrainingState]:
    backbone = load_backbone(settings.backbone, settings.image_size_px, settings.weights)
    extractor = networks.feature_model(backbone, settings.backbone, settings.image_size_px)
    log.info("head on frozen %s: its features are computed once", settings.backbone)
    counter = Counter("train", dataset.size("train") + dataset.size("validation"), "images")
    train, validation = (
        _features(extractor, dataset, split, settings.image_size_px, counter) for split in ("train", "validation")
    )
    inputs = keras.Input(extractor.output_shape[1:], name="features")
    outputs = networks.build_head(inputs, settings.hidden_units or 0, settings.dropout, len(dataset.classes))
    head = keras.Model(inputs, outputs, name="head")
    state = _fit(head, train, validation, settings, state_uri)
    return networks.join(extractor, head, settings.backbone), state


def _images(dataset: Dataset, split: str, settings: TrainSettings) -> Split:
    images = dataset.size(split)
    examples = decoded_images(dataset, split, settings.image_size_px)
    bytes_each = 3 * settings.image_size_px**2
    if images * bytes_each <= settings.cache_mib << 20:
        examples = examples.cache()
    return Split(examples, images)


def _batched(examples: tf.data.Dataset, images: int, settings: TrainSettings) -> tf.data.Dataset:
    # Said, since a reader of records cannot know it, and Keras shows and checks it.
    counted = examples.apply(tf.data.experimental.assert_cardinality(images))
    return counted.batch(settings.batch_size).prefetch(tf.data.AUTOTUNE)


def _features(extractor: keras.Model, dataset: Dataset, split: str, size_px: int, counter: Counter) -> Split:
    """Returns the features [d] and labels of a split, in memory."""
    forward = tf.function(lambda images: extractor(tf.cast(images, tf.float32), training=False))
    batches = decoded_images(dataset, split, size_px).batch(_FEATURE_BATCH).prefetch(tf.data.AUTOTUNE)
    values, labels = [], []
    for images, batch_labels in batches:
        values.append(forward(images).numpy())
        labels.append(batch_labels.numpy())
        counter.add(len(labels[-1]))
    examples = tf.data.Dataset.from_tensor_slices((np.concatenate(values), np.concatenate(labels)))
    return Split(examples, dataset.size(split))


def _fit(
    model: keras.Model, train: Split, validation: Split, settings: TrainSettings, state_uri: str | None
) -> TrainingState:
    """Trains until patience, target or the last epoch; the best epoch's weights are in the model then.

    An epoch at a time, so that all that decides stands here, and can be taken up after a kill.
    """
    missing = accelerators.missing()
    if missing:
        log.warning("%s; training on the CPU", missing)
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # TensorFlow's build for TPUs cannot compile for the CPU.
        jit_compile=False if missing else "auto",
    )
    model.optimizer.build(model.trainable_variables)
    state = (checkpoint.load(state_uri) if state_uri else None) or TrainingState()
    if state.epochs:
        log.info("going on after epoch %d", state.epochs)
        _assign(model.variables, state.model)
        _assign(model.optimizer.variables, state.optimizer)
    held_out = _batched(validation.examples, validation.images, settings)
    while not _done(state, settings):
        # A buffer of all: records lie sorted by hash, and a small one would repeat nearly that
        # order. Seeded by the epoch, so that it does not matter which process comes to it.
        shuffled = train.examples.shuffle(train.images, seed=settings.seed + state.epochs)
        batches = _batched(shuffled, train.images, settings)
        fitted = model.fit(batches, validation_data=held_out, epochs=1, shuffle=False, verbose=0)
        figures = {name: float(values[0]) for name, values in fitted.history.items()}
        for name, value in figures.items():
            state.history.setdefault(name, []).append(value)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        print(Progress("train", state.epochs, settings.max_epochs, "epochs", shown), flush=True)
        state.model = [variable.numpy() for variable in model.variables]
        state.optimizer = [variable.numpy() for variable in model.optimizer.variables]
        if state.best_epoch == state.epochs - 1:
            state.best = state.model
        if state_uri:
            checkpoint.save(state_uri, state)
    _assign(model.variables, state.best)
    return state


def _done(state: TrainingState, settings: TrainSettings) -> bool:
    if not state.epochs:
        return False
    if not np.isfinite(state.history["val_loss"][-1]):
        log.warning("the loss is no number in epoch %d; lower train.learning_rate", state.epochs)
        return True
    accuracy, target = state.history["accuracy"][-1], settings.target_accuracy
    if target is not None and accuracy >= target:
        log.info("training accuracy %.4f reached the target %g in epoch %d", accuracy, target, state.epochs)
        return True
    impatient = state.epochs - 1 - state.best_epoch >= settings.patience_epochs
    return impatient or state.epochs >= settings.max_epochs


def _assign(variables: Sequence[keras.Variable], values: checkpoint.Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
