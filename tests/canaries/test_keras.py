"""Keras' private interfaces that Petalflow relies on; each failure names the version that changed one."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.train.augmentation import FixedSeeds
from components.train.backbones import backbone_modules

CHANGED = f"Keras {keras.__version__} changed a private interface that"


def small_model() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    convolved = keras.layers.Conv2D(2, 3, name="convolution")(inputs)
    return keras.Model(inputs, keras.layers.BatchNormalization(name="normalization")(convolved))


def test_a_layer_knows_its_nodes_and_their_parents() -> None:
    model = small_model()
    convolution, normalization = model.get_layer("convolution"), model.get_layer("normalization")
    why = f"{CHANGED} components/train/inference.py and transfer_learning.py read: "
    try:
        (node,) = normalization._inbound_nodes
        (tensor,) = node.input_tensors
        (parent,) = node.parent_nodes
        before, by_parent = tensor._keras_history.operation, parent.operation
        uses = len(convolution._inbound_nodes), len(convolution._outbound_nodes)
    except (AttributeError, TypeError, ValueError) as error:
        pytest.fail(f"{why}the nodes of a layer ({error})")
    assert before is convolution, f"{why}_keras_history.operation"
    assert by_parent is convolution, f"{why}Node.parent_nodes"
    assert uses == (1, 1), f"{why}_inbound_nodes and _outbound_nodes"


def test_the_applications_are_imported_from_modules_that_name_their_families() -> None:
    why = f"{CHANGED} components/train/backbones.py reads: keras/applications/__init__.py"
    modules = backbone_modules()
    expected = {"MobileNetV2": "mobilenet_v2", "ResNet50": "resnet", "EfficientNetB0": "efficientnet"}
    assert {name: modules.get(name) for name in expected} == expected, why
    assert all(hasattr(keras.applications, name) for name in modules), why


def test_efficientnet_normalizes_by_one_layer_of_three_weights() -> None:
    model = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)]
    why = f"{CHANGED} components/train/backbones.py changes: EfficientNet's normalization layer"
    assert [len(layer.get_weights()) for layer in found] == [3], why


def test_weights_that_lack_layers_are_warned_of_by_the_saving_module(tmp_path) -> None:
    small_model().save_weights(tmp_path / "small.weights.h5")
    inputs = keras.Input((8, 8, 3))
    other = keras.Model(inputs, keras.layers.Dense(2, name="other")(inputs))
    why = f"{CHANGED} components/train/backbones.py relies on: warnings of keras.src.saving become errors"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module=r"keras\.src\.(legacy\.)?saving")
        try:
            other.load_weights(tmp_path / "small.weights.h5")
        except Exception:  # what Keras raises, or its warning as an error
            return
    pytest.fail(why)


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (keras.layers.RandomFlip("horizontal"), {"flips": 1}),
        (keras.layers.RandomRotation(0.1), {"rotation_matrix": 8}),
        (keras.layers.RandomTranslation(0.1, 0.1), {"translations": 2}),
        (keras.layers.RandomZoom(0.1), {"width_zoom": 1, "height_zoom": 1}),
        (keras.layers.RandomContrast((0.1, 0.1), value_range=(0, 255)), {"contrast_factor": 1}),
        (keras.layers.RandomBrightness(0.1, value_range=(0, 255)), {"rgb_delta": 1}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.layers.Layer) else "",
)
def test_augmentation_layers_draw_by_given_seeds(layer: keras.layers.Layer, names: dict[str, int]) -> None:
    why = f"{CHANGED} components/train/augmentation.py calls: {type(layer).__name__}.get_random_transformation"
    drawn = []
    for _ in range(2):
        seeds = FixedSeeds(tf.random.experimental.stateless_split(tf.constant([1, 2], tf.int64), 2))
        try:
            drawn.append(layer.get_random_transformation(tf.zeros([1, 8, 8, 3]), training=True, seed=seeds))
        except Exception as error:  # whatever a changed interface raises
            pytest.fail(f"{why} ({error})")
    for name, size in names.items():
        assert name in drawn[0], f"{why} has no {name!r}"
        assert int(np.prod(tf.shape(drawn[0][name]))) == size, f"{why}: the shape of {name!r}"
        np.testing.assert_array_equal(drawn[0][name], drawn[1][name], err_msg=why)
