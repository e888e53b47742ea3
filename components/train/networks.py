"""Networks: the two that are trained from scratch, and a head on a backbone."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from components.train.backbones import mix_channels, preprocessing_layers
from components.train.settings import TrainSettings
from petalflow.model.task import Task

# Luma weights of ITU-R BT.601, which Pillow and TensorFlow use, too.
_GREY = [[0.299], [0.587], [0.114]]
_FIRST_FILTERS, _MAX_FILTERS = 32, 256
# Pooling stops at this side: below it, 3×3 convolutions see mostly padding.
_MIN_FEATURE_SIDE_PX = 4
_DEFAULT_HIDDEN_UNITS = 128


def build_from_scratch(settings: TrainSettings, task: Task, classes: int) -> keras.Model:
    """Returns the "dense" or "cnn" network, untrained.

    dense: flatten, a hidden layer, softmax. cnn: 3×3 convolutions with doubling filters and 2×2 pooling, as often as
    the image size allows; then like dense.

    Args:
        settings: The settings of train.
        task: The task to learn.
        classes: Number of classes.
    """
    size_px = settings.size_px
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
    hidden = (_DEFAULT_HIDDEN_UNITS,) if settings.hidden_units is None else hidden_units(settings)
    return keras.Model(inputs, build_head(x, hidden, settings.dropout, task, classes), name=settings.backbone)


def hidden_units(settings: TrainSettings) -> tuple[int, ...]:
    """Returns the units of the hidden layers; () without any."""
    units = settings.hidden_units
    return tuple(units) if isinstance(units, tuple) else (units,) if units else ()


def build_head(
    x: keras.KerasTensor, hidden: Sequence[int], dropout: float, task: Task, classes: int
) -> keras.KerasTensor:
    """Returns the probabilities, [batch, units of the task], from features [batch, n]."""
    for number, units in enumerate(hidden, 1):
        x = layers.Dense(units, activation="relu", name=f"hidden_{number}" if number > 1 else "hidden")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    # float32 in every policy: bfloat16 cannot represent probabilities close to 1.
    return layers.Dense(task.units(classes), activation=task.activation, dtype="float32", name="probabilities")(x)


def feature_model(backbone: keras.Model, name: str, size_px: int, pooling: str) -> keras.Model:
    """Returns a model from images [batch, size, size, 3] of 0..255 to features [batch, n].

    Args:
        backbone: A backbone without top and pooling.
        name: Its name in keras.applications.
        size_px: Height and width of the images.
        pooling: "avg", "max" or "flatten".
    """
    inputs = keras.Input((size_px, size_px, 3), name="image")
    x = _chain(inputs, preprocessing_layers(name))
    # BatchNormalization's `trainable` decides whether it learns; training=False here would have no effect.
    return keras.Model(inputs, pooling_layer(pooling)(backbone(x)), name="features")


def pooling_layer(pooling: str) -> keras.layers.Layer:
    """Returns the layer that reduces a feature map to a vector."""
    kinds = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "flatten": layers.Flatten}
    return kinds[pooling](name="pooling")


def join(features: keras.Model, head: keras.Model, name: str) -> keras.Model:
    """Returns the whole model of features and head, which is saved and released."""
    return keras.Model(features.input, head(features.output), name=name)


def _chain(x: keras.KerasTensor, steps: Sequence[keras.layers.Layer]) -> keras.KerasTensor:
    for layer in steps:
        x = layer(x)
    return x


def model_below_cut(below: keras.Model, name: str, size_px: int) -> keras.Model:
    """Returns a model from images [batch, size, size, 3] of 0..255 to the feature map at the cut."""
    inputs = keras.Input((size_px, size_px, 3), name="image")
    return keras.Model(inputs, below(_chain(inputs, preprocessing_layers(name)), training=False), name="below")


def model_above_cut(above: keras.Model, pooling: str, head: keras.Model) -> keras.Model:
    """Returns a model from the feature map at the cut to probabilities; shares the layers of backbone and head."""
    inputs = keras.Input(above.input_shape[1:], name="map")
    return keras.Model(inputs, head(pooling_layer(pooling)(above(inputs, training=False))), name="above")


def to_float32(model: keras.Model) -> keras.Model:
    """Returns a model of the same layers and weights that computes in float32."""
    copy = type(model).from_config(_with_float32(model.get_config()))
    copy.set_weights(model.get_weights())
    return copy


def _with_float32(config: Any) -> Any:
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return keras.dtype_policies.serialize(keras.DTypePolicy("float32"))
        return {key: _with_float32(value) for key, value in config.items()}
    if config == "bfloat16":  # the input of an inner model
        return "float32"
    return type(config)(map(_with_float32, config)) if isinstance(config, list | tuple) else config
