import inspect
import math

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import efficientnet
from keras.src.legacy.saving import legacy_h5_format

from components.train.backbones import (
    backbone_modules,
    check_backbone,
    load_backbone,
    mix_channels,
    preprocessing_layers,
)
from petalflow.errors import UsageError

# One classifier of each family.
FAMILIES = {module: name for name, module in sorted(backbone_modules().items(), reverse=True)}


def test_the_names_are_those_of_keras() -> None:
    offered = {name for name in dir(keras.applications) if name[0].isupper()}
    assert set(backbone_modules()) == offered


@pytest.mark.parametrize(("module", "name"), FAMILIES.items())
def test_preprocessing_equals_the_familys_own(module: str, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.float32)
    expected = getattr(keras.applications, module).preprocess_input(pixels.copy())
    result = keras.ops.convert_to_tensor(pixels)
    for layer in preprocessing_layers(name):
        result = layer(result)
    np.testing.assert_allclose(np.asarray(result), expected, atol=1e-3)


def test_mixing_channels_is_not_trained() -> None:
    layer = mix_channels([[0.5], [0.25], [0.25]], "grey")
    assert not layer.trainable_weights
    result = layer(np.array([[[[8.0, 4.0, 4.0]]]]))
    assert np.asarray(result).ravel() == pytest.approx([6.0])


@pytest.mark.parametrize(("name", "smallest"), [("MobileNetV2", 32), ("Xception", 71), ("InceptionV3", 75)])
def test_the_smallest_size_is_the_one_that_keras_accepts(name: str, smallest: int) -> None:
    build = getattr(keras.applications, name)
    build(include_top=False, weights=None, input_shape=(smallest, smallest, 3))
    with pytest.raises(ValueError, match="at least"):
        build(include_top=False, weights=None, input_shape=(smallest - 1, smallest - 1, 3))
    check_backbone(name, smallest, 3, "imagenet")
    with pytest.raises(UsageError, match=f"image_size_px={smallest - 1} is too small for {name}; it needs {smallest}"):
        check_backbone(name, smallest - 1, 3, "imagenet")


def test_the_nearest_name_is_suggested_for_a_typo() -> None:
    with pytest.raises(UsageError, match="did you mean MobileNetV2"):
        check_backbone("MobilNetV2", 192, 3, "imagenet")


def test_grey_and_missing_weights_are_refused() -> None:
    with pytest.raises(UsageError, match=r"train\.channels=1"):
        check_backbone("MobileNetV2", 192, 1, "imagenet")
    with pytest.raises(UsageError, match=r"nowhere\.h5"):
        check_backbone("MobileNetV2", 192, 3, "nowhere.h5")


def test_weights_of_another_backbone_are_one_clear_line(tmp_path) -> None:
    path = tmp_path / "mobilenet.weights.h5"
    keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3)).save_weights(path)
    with pytest.raises(UsageError, match="cannot be loaded into MobileNetV2") as caught:
        load_backbone("MobileNetV2", 32, str(path))
    assert "\n" not in str(caught.value)


def test_a_backbone_is_frozen_and_has_the_weights_of_the_file(backbone_weights) -> None:
    backbone = load_backbone("MobileNetV2", 32, str(backbone_weights))
    assert not backbone.trainable_weights
    assert backbone.output_shape == (None, 1, 1, 1280)
    again = load_backbone("MobileNetV2", 32, str(backbone_weights))
    for one, other in zip(backbone.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_efficientnet_with_weights_from_a_file_scales_like_the_published_one(tmp_path) -> None:
    path, generator = tmp_path / "b0.weights.h5", np.random.default_rng(0)
    plain = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    (normalization,) = [layer for layer in plain.layers if isinstance(layer, keras.layers.Normalization)]
    normalization.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]) ** 2, np.array(0)])
    normalization.finalize_state()
    plain.save_weights(path)
    # With weights="imagenet", Keras adds a layer after the normalization; nothing else differs.
    assert 'if weights == "imagenet":' in inspect.getsource(efficientnet.EfficientNet)
    below = keras.Model(plain.input, normalization.output)
    above = keras.Model(normalization.output, plain.output)
    between = keras.layers.Rescaling([1.0 / math.sqrt(deviation) for deviation in efficientnet.IMAGENET_STDDEV_RGB])
    images = generator.uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    published = np.asarray(above(between(below(images))))
    ours = np.asarray(load_backbone("EfficientNetB0", 32, str(path))(images))
    np.testing.assert_allclose(ours, published, rtol=1e-3, atol=1e-5 * np.abs(published).max())
    assert np.abs(np.asarray(plain(images)) - published).max() > 0.1 * np.abs(published).max(), "as Keras leaves it"


def test_weights_of_another_width_and_weights_with_top_are_one_clear_line(tmp_path) -> None:
    narrow, whole = tmp_path / "narrow.weights.h5", tmp_path / "published.h5"
    keras.applications.MobileNetV2(weights=None, include_top=False, alpha=0.35).save_weights(narrow)
    with h5py.File(whole, "w") as file:  # the format of the files that Keras publishes
        legacy_h5_format.save_weights_to_hdf5_group(file, keras.applications.MobileNetV2(weights=None))
    for path in (narrow, whole):
        with pytest.raises(UsageError, match="cannot be loaded into MobileNetV2") as caught:
            load_backbone("MobileNetV2", 96, str(path))
        assert "\n" not in str(caught.value)
