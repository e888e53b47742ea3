"""The first three blocks of MobileNetV2, for tests that train: tracing them takes a sixth of the time.

They have a residual connection, depthwise convolutions and normalizations; the last 1×1 convolution is missing.
"""

from functools import cache
from pathlib import Path

import keras
import numpy as np

SIZE_PX = 32
LAST_LAYER = "block_2_add"
_whole = keras.applications.MobileNetV2


@cache
def _pattern() -> keras.Model:
    whole = _whole(include_top=False, weights=None, input_shape=(SIZE_PX, SIZE_PX, 3))
    return keras.Model(whole.input, whole.get_layer(LAST_LAYER).output, name=whole.name)


def build(include_top: bool, weights: str | None, input_shape: tuple[int, ...]) -> keras.Model:
    """Returns the network, as `keras.applications.MobileNetV2` returns the whole."""
    assert (include_top, input_shape) == (False, (SIZE_PX, SIZE_PX, 3))
    backbone = keras.models.clone_model(_pattern())
    if weights:
        backbone.load_weights(weights)
    return backbone


def save_random_weights(path: Path) -> None:
    """Saves random weights with the statistics of real images, without which the outputs vanish."""
    keras.utils.set_random_seed(0)
    backbone = build(False, None, (SIZE_PX, SIZE_PX, 3))
    colours = np.random.default_rng(0).uniform(-1, 1, (64, 1, 1, 3))
    images = np.float32(colours + np.random.default_rng(1).normal(0, 0.2, (64, SIZE_PX, SIZE_PX, 3)))
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    backbone(images, training=True)
    backbone.save_weights(path)


def train(*arguments: object) -> None:
    """Trains with the network, in a process of its own."""
    from components.train.train import train

    keras.applications.MobileNetV2 = build
    train(*arguments)
