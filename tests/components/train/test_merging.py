import keras
import numpy as np
import pytest
from keras import layers

from components.train.merging import merged
from components.train.networks import feature_model


def shaken(model: keras.Model) -> keras.Model:
    """Gives a network figures where a new one has only 0 and 1: normalizations and biases."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        for variable in layer.variables if not isinstance(layer, keras.Model) else ():
            if len(variable.shape) == 1:
                variable.assign(np.abs(variable + generator.normal(0, 0.2, variable.shape)))
    return model


def normalizations(model: keras.Model) -> list[str]:
    inner = [name for layer in model.layers if isinstance(layer, keras.Model) for name in normalizations(layer)]
    return [*inner, *(layer.name for layer in model.layers if isinstance(layer, layers.BatchNormalization))]


def check(model: keras.Model, remain: int) -> None:
    images = np.random.default_rng(1).uniform(0, 255, (2, *model.input_shape[1:])).astype(np.float32)
    before, expected = model.get_weights(), np.asarray(model(images, training=False))
    quick = merged(model)
    np.testing.assert_allclose(quick(images, training=False), expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    assert len(normalizations(quick)) == remain
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# What remains in DenseNet121 stands before convolutions; ConvNeXt has none, but networks within.
@pytest.mark.parametrize(
    ("name", "remain"), [("MobileNetV2", 0), ("EfficientNetV2B0", 0), ("DenseNet121", 62), ("ConvNeXtTiny", 0)]
)
def test_a_backbone_gives_the_same(name: str, remain: int) -> None:
    backbone = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(32, 32, 3))
    check(feature_model(shaken(backbone), name, 32, "avg"), remain)


def test_convolutions_of_every_kind_take_normalizations_in() -> None:
    x = inputs = keras.Input((6, 6, 3))
    for convolution in (
        layers.Conv2D(4, 3),
        layers.Conv2D(4, 1, use_bias=False),
        layers.DepthwiseConv2D(2, depth_multiplier=2),
    ):
        x = layers.BatchNormalization(scale=x.shape[-1] == 3, center=x.shape[1] > 4)(convolution(x))
    check(shaken(keras.Model(inputs, x)), 0)


def test_what_is_read_in_between_stays() -> None:
    inputs = keras.Input((6, 6, 3))
    activated = layers.BatchNormalization()(layers.Conv2D(3, 1, activation="relu")(inputs))
    twice = layers.Conv2D(3, 1)(activated)
    separable = layers.BatchNormalization()(layers.SeparableConv2D(3, 1)(twice))
    x = layers.Add()([twice, layers.BatchNormalization()(twice), separable])
    check(shaken(keras.Model(inputs, x)), 3)
