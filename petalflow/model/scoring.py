"""The scores that a model, or a released one, gives to a split of a dataset."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from petalflow.dataset import Dataset
from petalflow.dataset.reading import decoded_images, encoded_examples
from petalflow.model.files import TrainedModel
from petalflow.model.task import class_scores
from petalflow.progress import Counter

# What a CPU's caches hold of a network's maps.
_BATCH = 32

Scores = NDArray[np.float32]


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
    size_px = model.image_size_px
    # One graph for whole batches and the last; AutoGraph finds nothing to convert in it, and takes a second to look.
    forward = tf.function(
        lambda images: model.keras_model(tf.cast(images, tf.float32), training=False),
        input_signature=[tf.TensorSpec([None, size_px, size_px, 3], tf.uint8)],
        autograph=False,
    )
    images = decoded_images(dataset, split, size_px).map(lambda image, _: image).take(limit)
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
    saved = tf.saved_model.load(str(folder))
    serve = saved.signatures["serving_default"]
    images = encoded_examples(dataset, split).map(lambda example: example["image"]).take(limit)
    return _score(lambda data: serve(image_bytes=data)["scores"], images, counter)


def _score(forward: Callable[[tf.Tensor], tf.Tensor], images: tf.data.Dataset, counter: Counter | None) -> Scores:
    parts = []
    # The last, partial batch counts too: every image of the split is scored.
    for batch in images.batch(_BATCH).prefetch(tf.data.AUTOTUNE):
        parts.append(forward(batch).numpy())
        if counter:
            counter.add(len(parts[-1]))
    return np.concatenate(parts)
