"""Scores of a trained or released model on a split of a dataset."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from petalflow.dataset import Dataset
from petalflow.model.files import TrainedModel
from petalflow.model.freezing import can_freeze, freeze
from petalflow.model.reading import decoded_images, encoded_examples
from petalflow.model.task import class_scores
from petalflow.progress import Counter

# The feature maps of this many images fit into a CPU's caches.
_BATCH = 32
# Freezing a network takes five seconds, which it saves on about this many images.
MIN_IMAGES_TO_FREEZE = 2000

Scores = NDArray[np.float32]
Forward = Callable[[tf.Tensor], tf.Tensor]


def score_model(
    model: TrainedModel, dataset: Dataset, split: str, counter: Counter | None = None, limit: int = -1
) -> Scores:
    """Returns the probabilities [n, classes] that a model predicts for a split, in record order.

    Args:
        model: The model.
        dataset: The dataset.
        split: The split to score.
        counter: Counts the images.
        limit: Number of images to score, from the first; -1 for all.
    """
    images = decoded_images(dataset, split, model.image_size_px).map(lambda image, _: image).take(limit)
    forward = _keras_forward(model, frozen=_worth_freezing(_count(dataset, split, limit)))
    return class_scores(_score(forward, images, counter), model.task)


def score_saved_model(
    folder: Path, dataset: Dataset, split: str, counter: Counter | None = None, limit: int = -1
) -> Scores:
    """Returns the probabilities [n, classes] that a SavedModel's `serving_default` predicts for encoded images.

    Args:
        folder: The SavedModel: an export or a release.
        dataset: The dataset, whose images are sent as they are stored.
        split: The split to score.
        counter: Counts the images.
        limit: Number of images to score, from the first; -1 for all.
    """
    saved = tf.saved_model.load(str(folder))  # keeps the variables alive that its signatures refer to
    images = encoded_examples(dataset, split).map(lambda example: example["image"]).take(limit)
    frozen = _worth_freezing(_count(dataset, split, limit))
    return _score(_signature_forward(saved.signatures["serving_default"], frozen=frozen), images, counter)


def _keras_forward(model: TrainedModel, *, frozen: bool) -> Forward:
    """Returns a function from uint8 images [n, size, size, 3] to the network's outputs."""
    size_px, network = model.image_size_px, model.keras_model
    # One graph for full batches and the last one; AutoGraph has nothing to convert here, but takes a second.
    forward: Forward = tf.function(
        lambda images: network(tf.cast(images, tf.float32), training=False),
        input_signature=[tf.TensorSpec([None, size_px, size_px, 3], tf.uint8)],
        autograph=False,
    )
    if not frozen or not can_freeze(network.count_params()):
        return forward
    constant = freeze(forward.get_concrete_function())  # type: ignore[attr-defined]
    return lambda images: constant(images)[0]


def _signature_forward(serve: Any, *, frozen: bool) -> Forward:
    """Returns a function from encoded images [n] to the scores of a signature."""
    if not frozen or not can_freeze(sum(variable.shape.num_elements() for variable in serve.variables)):
        return lambda data: serve(image_bytes=data)["scores"]
    constant = freeze(serve, lower_control_flow=False)
    index = sorted(serve.structured_outputs).index("scores")  # a frozen function returns a list
    return lambda data: constant(image_bytes=data)[index]


def _count(dataset: Dataset, split: str, limit: int) -> int:
    size = dataset.size(split)
    return size if limit < 0 else min(size, limit)


def _worth_freezing(images: int) -> bool:
    """Returns True if freezing a network pays off: on a CPU, it saves a quarter of the time."""
    on_cpu = not tf.config.list_logical_devices("GPU") and not tf.config.list_logical_devices("TPU")
    return on_cpu and images >= MIN_IMAGES_TO_FREEZE


def _score(forward: Forward, images: tf.data.Dataset, counter: Counter | None) -> Scores:
    parts = []
    # Every image is scored: the last batch may be partial.
    for batch in images.batch(_BATCH).prefetch(tf.data.AUTOTUNE):
        parts.append(forward(batch).numpy())
        if counter:
            counter.add(len(parts[-1]))
    return np.concatenate(parts)
