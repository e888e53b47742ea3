"""Train a classifier: on a frozen backbone's features computed once, or from scratch."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.train import networks
from components.train.backbones import load_backbone
from components.train.check import FROM_SCRATCH, check_settings
from components.train.settings import TrainSettings
from petalflow import storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.dataset.reading import decoded_images
from petalflow.model.files import HISTORY_FILE, MODEL_FILE, write_model_info
from petalflow.progress import Counter, Progress

log = logging.getLogger(__name__)

# Images a call of the backbone: large enough to fill two cores, small enough for any memory.
_FEATURE_BATCH = 64


@dataclass(frozen=True)
class Split:
    """What the trained part of the network is fed with.

    Attributes:
        batches: Pairs of inputs (images or features) and labels, once through the split.
        images: How many there are.
    """

    batches: tf.data.Dataset
    images: int


def train(dataset_root: str | Path, out: str | Path, settings: TrainSettings) -> dict[str, Any]:
    """Trains a model and writes it to the folder `out`: model.keras, model.json, history.json.

    The model that leaves is the one of the epoch with the lowest validation loss.

    Args:
        dataset_root: The dataset.
        out: Folder to make.
        settings: What to train, and how.

    Returns:
        What model.json holds.

    Raises:
        UsageError: If the settings do not fit together.
        PetalflowError: If the dataset is not complete.
    """
    check_settings(settings)
    dataset = open_dataset(dataset_root)
    keras.utils.set_random_seed(settings.seed)
    with storage.building(out) as folder:
        started = time.monotonic()
        if settings.backbone in FROM_SCRATCH:
            model, history = _train_from_scratch(dataset, settings)
        else:
            model, history = _train_on_features(dataset, settings)
        best = int(np.argmin(history["val_loss"]))
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
    log.info("best epoch %d of %d: validation accuracy %.4f", best + 1, info["epochs"], info["validation_accuracy"])
    return info


def _train_from_scratch(dataset: Dataset, settings: TrainSettings) -> tuple[keras.Model, dict[str, list[float]]]:
    model = networks.build_from_scratch(settings, len(dataset.classes))
    log.info("%s from scratch, %s parameters", settings.backbone, f"{model.count_params():,}")
    train, validation = (_image_batches(dataset, split, settings) for split in ("train", "validation"))
    return model, _fit(model, train, validation, settings)


def _train_on_features(dataset: Dataset, settings: TrainSettings) -> tuple[keras.Model, dict[str, list[float]]]:
    backbone = load_backbone(settings.backbone, settings.image_size_px, settings.weights)
    extractor = networks.feature_model(backbone, settings.backbone, settings.image_size_px)
    log.info("head on frozen %s: its features are computed once", settings.backbone)
    total = dataset.size("train") + dataset.size("validation")
    counter = Counter("train", total, "images")
    features = [_features(extractor, dataset, split, settings, counter) for split in ("train", "validation")]

    inputs = keras.Input(extractor.output_shape[1:], name="features")
    outputs = networks.build_head(inputs, settings.hidden_units or 0, settings.dropout, len(dataset.classes))
    head = keras.Model(inputs, outputs, name="head")
    train, validation = (
        Split(
            _batched(tf.data.Dataset.from_tensor_slices(split), len(split[1]), settings, shuffle=shuffle), len(split[1])
        )
        for split, shuffle in zip(features, (True, False), strict=True)
    )
    history = _fit(head, train, validation, settings)
    return networks.join(extractor, head, settings.backbone), history


def _image_batches(dataset: Dataset, split: str, settings: TrainSettings) -> Split:
    images = dataset.size(split)
    examples = decoded_images(dataset, split, settings.image_size_px)
    bytes_each = 3 * settings.image_size_px**2
    if images * bytes_each <= settings.cache_mib << 20:
        examples = examples.cache()
    return Split(_batched(examples, images, settings, shuffle=split == "train"), images)


def _batched(examples: tf.data.Dataset, images: int, settings: TrainSettings, *, shuffle: bool) -> tf.data.Dataset:
    if shuffle:
        # A buffer of all: records lie sorted by hash, and a small one would repeat nearly that order.
        examples = examples.shuffle(images, seed=settings.seed, reshuffle_each_iteration=True)
    # Said, since a reader of records cannot know it, and Keras shows and checks it.
    examples = examples.apply(tf.data.experimental.assert_cardinality(images))
    return examples.batch(settings.batch_size).prefetch(tf.data.AUTOTUNE)


def _features(
    extractor: keras.Model, dataset: Dataset, split: str, settings: TrainSettings, counter: Counter
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns the features [n, d] and labels [n] of a split."""
    forward = tf.function(lambda images: extractor(tf.cast(images, tf.float32), training=False))
    batches = decoded_images(dataset, split, settings.image_size_px).batch(_FEATURE_BATCH).prefetch(tf.data.AUTOTUNE)

    def outputs() -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        for images, labels in batches:
            yield forward(images).numpy(), labels.numpy()
            counter.add(len(labels))

    values, labels = zip(*outputs(), strict=True)
    return np.concatenate(values), np.concatenate(labels)


def _fit(model: keras.Model, train: Split, validation: Split, settings: TrainSettings) -> dict[str, list[float]]:
    """Trains until patience, target or the last epoch; the best epoch's weights are in the model then."""
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    # The target's callback comes first: the other one restores the best weights when training ends.
    callbacks = [
        _Report(settings.max_epochs),
        _StopAtTarget(settings.target_accuracy),
        keras.callbacks.EarlyStopping("val_loss", patience=settings.patience_epochs, restore_best_weights=True),
    ]
    fitted = model.fit(
        train.batches,
        validation_data=validation.batches,
        epochs=settings.max_epochs,
        callbacks=callbacks,
        shuffle=False,  # the batches are
        verbose=0,
    )
    return {name: [float(value) for value in values] for name, values in fitted.history.items()}


class _StopAtTarget(keras.callbacks.Callback):
    """Stops training when an epoch's training accuracy reaches a target."""

    def __init__(self, target_accuracy: float | None) -> None:
        super().__init__()
        self._target = target_accuracy

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        accuracy = (logs or {}).get("accuracy", 0.0)
        if self._target is not None and accuracy >= self._target:
            log.info("training accuracy %.4f reached the target %.4f in epoch %d", accuracy, self._target, epoch + 1)
            self.model.stop_training = True


class _Report(keras.callbacks.Callback):
    """Prints a progress line each epoch."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = ", ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        print(Progress("train", epoch + 1, self._epochs, "epochs", values), flush=True)
