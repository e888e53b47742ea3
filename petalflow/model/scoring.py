"""The scores that a model, or a released one, gives to a split of a dataset."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from petalflow.dataset import Dataset
from petalflow.model.files import TrainedModel
from petalflow.model.reading import decoded_images, encoded_examples
from petalflow.model.task import class_scores
from petalflow.progress import Counter

# What a CPU's caches hold of a network's maps.
_BATCH = 32
# It takes five seconds to fold a network: as much as it saves on about so many images.
_FOLDED_FROM = 2000
# A graph is a message of at most 2 GiB, and so are the constants in it.
_MOST_FOLDED_WEIGHTS = 1 << 28

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
    forward = _of_keras(model, folded=_worth_folding(_count(dataset, split, limit)))
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
    folded = _worth_folding(_count(dataset, split, limit))
    return _score(_of_signature(saved.signatures["serving_default"], folded=folded), images, counter)


def _of_keras(model: TrainedModel, *, folded: bool) -> Forward:
    """Returns what gives a network's outputs of uint8 images [n, size, size, 3]."""
    size_px, network = model.image_size_px, model.keras_model
    # One graph for whole batches and the last; AutoGraph finds nothing to convert in it, and takes a second to look.
    forward: Forward = tf.function(
        lambda images: network(tf.cast(images, tf.float32), training=False),
        input_signature=[tf.TensorSpec([None, size_px, size_px, 3], tf.uint8)],
        autograph=False,
    )
    if not folded or network.count_params() > _MOST_FOLDED_WEIGHTS:
        return forward
    constant = convert_variables_to_constants_v2(forward.get_concrete_function())  # type: ignore[attr-defined]
    return lambda images: constant(images)[0]


def _of_signature(serve: Any, *, folded: bool) -> Forward:
    """Returns what gives the scores of a signature that takes encoded images [n]."""
    if not folded or sum(variable.shape.num_elements() for variable in serve.variables) > _MOST_FOLDED_WEIGHTS:
        return lambda data: serve(image_bytes=data)["scores"]
    constant = convert_variables_to_constants_v2(serve, lower_control_flow=False)
    at = sorted(serve.structured_outputs).index("scores")  # of its outputs, in a row now
    return lambda data: constant(image_bytes=data)[at]


def _count(dataset: Dataset, split: str, limit: int) -> int:
    size = dataset.size(split)
    return size if limit < 0 else min(size, limit)


def _worth_folding(images: int) -> bool:
    """Tells whether to make a network's weights constants, which a CPU works into each other: a quarter less work."""
    on_cpu = not tf.config.list_logical_devices("GPU") and not tf.config.list_logical_devices("TPU")
    return on_cpu and images >= _FOLDED_FROM


def _score(forward: Forward, images: tf.data.Dataset, counter: Counter | None) -> Scores:
    parts = []
    # The last, partial batch counts too: every image of the split is scored.
    for batch in images.batch(_BATCH).prefetch(tf.data.AUTOTUNE):
        parts.append(forward(batch).numpy())
        if counter:
            counter.add(len(parts[-1]))
    return np.concatenate(parts)
