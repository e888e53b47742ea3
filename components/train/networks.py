"""Networks: the two that are trained from scratch, and the head on a frozen backbone."""

from collections.abc import Sequence

import keras
from keras import layers

from components.train.backbones import mix_channels, preprocessing_layers
from components.train.settings import TrainSettings

# Luma weights of ITU-R BT.601, as Pillow's and TensorFlow's grey conversions use them.
_GREY = [[0.299], [0.587], [0.114]]
_FIRST_FILTERS, _MAX_FILTERS = 32, 256
# Pooling stops here: below it, 3×3 convolutions see mostly padding.
_MIN_FEATURE_SIDE_PX = 4
_DEFAULT_HIDDEN_UNITS = 128


def build_from_scratch(settings: TrainSettings, classes: int) -> keras.Model:
    """Returns the "dense" or "cnn" network, untrained.

    dense: flatten, a hidden layer, softmax. cnn: 3×3 convolutions and 2×2 pooling, filters
    doubling, as many times as the image size allows; then the same.

    Args:
        settings: Of train.
        classes: How many classes there are.
    """
    size_px = settings.image_size_px
    inputs = keras.Input((size_px, size_px, 3), name="image")
    x = mix_channels(_GREY, "grey")(inputs) if settings.channels == 1 else inputs
    x = layers.Rescaling(1 / 255, name="scale")(x)
    if settings.backbone == "cnn":
        filters, side_px = _FIRST_FILTERS, size_px
        while True:
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            if side_px // 2 < _MIN_FEATURE_SIDE_PX:
                break
            x = layers.MaxPooling2D()(x)
            filters, side_px = min(2 * filters, _MAX_FILTERS), side_px // 2
    x = layers.Flatten()(x)
    hidden = _DEFAULT_HIDDEN_UNITS if settings.hidden_units is None else settings.hidden_units
    return keras.Model(inputs, build_head(x, hidden, settings.dropout, classes), name=settings.backbone)


def build_head(x: keras.KerasTensor, hidden_units: int, dropout: float, classes: int) -> keras.KerasTensor:
    """Returns the probability of each class, [batch, classes], from features [batch, n]."""
    if hidden_units:
        x = layers.Dense(hidden_units, activation="relu", name="hidden")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, activation="softmax", name="probabilities")(x)


def feature_model(backbone: keras.Model, name: str, size_px: int) -> keras.Model:
    """Returns images [batch, size, size, 3] of 0..255 to features [batch, n], nothing trainable in it."""
    inputs = keras.Input((size_px, size_px, 3), name="image")
    x = _chain(inputs, preprocessing_layers(name))
    # training=False keeps BatchNormalization at its ImageNet statistics, whatever happens above.
    return keras.Model(inputs, backbone(x, training=False), name="features")


def join(features: keras.Model, head: keras.Model, name: str) -> keras.Model:
    """Returns one model of two: what is saved and released."""
    return keras.Model(features.inputs, head(features.outputs[0]), name=name)


def _chain(x: keras.KerasTensor, steps: Sequence[keras.layers.Layer]) -> keras.KerasTensor:
    for layer in steps:
        x = layer(x)
    return x
