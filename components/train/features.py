"""What frozen layers give, computed once for each image, as fast as the machine allows."""

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from petalflow.progress import Counter

log = logging.getLogger(__name__)

# Images a call: large enough to fill two cores, small enough for any memory.
BATCH = 64


def compute_features(
    frozen: keras.Model, images: Iterable[tf.Tensor], count: int, counter: Counter, folder: Path | None = None
) -> NDArray[np.float32]:
    """Returns what a frozen network gives, float32 [count, ...], in order.

    Args:
        frozen: Images of 0..255 to maps or features.
        images: Batches, uint8 [b, size, size, 3].
        count: How many images there are.
        counter: Counts them.
        folder: Where to keep the result if memory is too small for it; None for memory.
    """
    forward = tf.function(lambda batch: frozen(tf.cast(batch, tf.float32), training=False))
    shape = (count, *frozen.output_shape[1:])
    features: NDArray[np.float32]
    if folder is None:
        features = np.empty(shape, np.float32)
    else:
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".features", delete=False) as file:
            features = np.memmap(file.name, np.float32, "w+", shape=shape)
    at = 0
    for batch in images:
        features[at : at + len(batch)] = forward(batch)
        at += len(batch)
        counter.add(len(batch))
    return features
