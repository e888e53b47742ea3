"""The scores that a model, or a released one, gives to a split of a dataset."""

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

# What a CPU's caches hold of a network's maps.
_BATCH = 32
# Freezing a network takes five seconds, which it saves on about this many images.
MIN_IMAGES_TO_FREEZE = 2000

Scores = NDArray[np.float32]
Forward = Callable[[tf.Tensor], tf.Tensor]


def score_model(
    model: TrainedModel, dataset: Dataset, split: str, counter: Counter | None = None, limit: int = -1
) -> Scores:
    """Returns the probabilities [n, classes] that a model gives to a split, in record order.

    Args:
        model: The model.
        dataset: Whose images are scored.
        split: Which of them.
        counter: Counts the images.
        limit: How many images, from the first; -1 for all.
    """
    images = decoded_images(dataset, split, model.image_size_px).map(lambda image, _: image).take(limit)
    forward = _of_keras(model, frozen=_worth_freezing(_count(dataset, split, limit)))
    return class_scores(_score(forward, images, counter), model.task)


def score_saved_model(
    folder: Path, dataset: Dataset, split: str, counter: Counter | None = None, limit: int = -1
) -> Scores:
    """Returns the probabilities [n, classes] that a SavedModel's `serving_default` gives to encoded images.

    Args:
        folder: The SavedModel: an export, or a release.
        dataset: Whose images are sent as they are stored.
        split: Which of them.
        counter: Counts the images.
        limit: How many images, from the first; -1 for all.
    """
    saved = tf.saved_model.load(str(folder))  # holds the variables that its signatures only refer to
    images = encoded_examples(dataset, split).map(lambda example: example["image"]).take(limit)
    frozen = _worth_freezing(_count(dataset, split, limit))
    return _score(_of_signature(saved.signatures["serving_default"], frozen=frozen), images, counter)


def _of_keras(model: TrainedModel, *, frozen: bool) -> Forward:
    """Returns what gives a network's outputs of uint8 images [n, size, size, 3]."""
    size_px, network = model.image_size_px, model.keras_model
    # One graph for whole batches and the last; AutoGraph finds nothing to convert in it, and takes a second to look.
    forward: Forward = tf.function(
        lambda images: network(tf.cast(images, tf.float32), training=False),
        input_signature=[tf.TensorSpec([None, size_px, size_px, 3], tf.uint8)],
        autograph=False,
    )
    if not frozen or not can_freeze(network.count_params()):
        return forward
    constant = freeze(forward.get_concrete_function())  # type: ignore[attr-defined]
    return lambda images: constant(images)[0]


def _of_signature(serve: Any, *, frozen: bool) -> Forward:
    """Returns what gives the scores of a signature that takes encoded images [n]."""
    if not frozen or not can_freeze(sum(variable.shape.num_elements() for variable in serve.variables)):
        return lambda data: serve(image_bytes=data)["scores"]
    constant = freeze(serve, lower_control_flow=False)
    at = sorted(serve.structured_outputs).index("scores")  # of its outputs, in a row now
    return lambda data: constant(image_bytes=data)[at]


def _count(dataset: Dataset, split: str, limit: int) -> int:
    size = dataset.size(split)
    return size if limit < 0 else min(size, limit)


def _worth_freezing(images: int) -> bool:
    """Tells whether to make a network's weights constants, which a CPU works into each other: a quarter less work."""
    on_cpu = not tf.config.list_logical_devices("GPU") and not tf.config.list_logical_devices("TPU")
    return on_cpu and images >= MIN_IMAGES_TO_FREEZE


def _score(forward: Forward, images: tf.data.Dataset, counter: Counter | None) -> Scores:
    parts = []
    # The last, partial batch counts too: every image of the split is scored.
    for batch in images.batch(_BATCH).prefetch(tf.data.AUTOTUNE):
        parts.append(forward(batch).numpy())
        if counter:
            counter.add(len(parts[-1]))
    return np.concatenate(parts)
