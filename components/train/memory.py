"""Memory that is too small, beside the steps of training: for the network itself, or for what is kept of images."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from components.train.settings import TrainSettings
from petalflow.errors import PetalflowError


@contextlib.contextmanager
def enough_memory(settings: TrainSettings) -> Iterator[None]:
    """Says in one line what to try where the block asks for more memory than there is.

    Raises:
        PetalflowError: Then.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise PetalflowError(
            f"out of memory for {settings.backbone} or its input, whatever train.batch_size is; try "
            f"train.image_size_px={settings.image_size_px // 2}, fewer train.hidden_units, or a smaller train.cache_mib"
        ) from error
