import keras
import numpy as np
import pytest

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


def test_the_names_are_those_that_keras_offers() -> None:
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


def test_mixing_channels_is_fixed() -> None:
    layer = mix_channels([[0.5], [0.25], [0.25]], "grey")
    assert not layer.trainable_weights
    result = layer(np.array([[[[8.0, 4.0, 4.0]]]]))
    assert np.asarray(result).ravel() == pytest.approx([6.0])


@pytest.mark.parametrize(("name", "smallest"), [("MobileNetV2", 32), ("Xception", 71), ("InceptionV3", 75)])
def test_the_smallest_size_is_the_one_that_keras_takes(name: str, smallest: int) -> None:
    build = getattr(keras.applications, name)
    build(include_top=False, weights=None, input_shape=(smallest, smallest, 3))
    with pytest.raises(ValueError, match="at least"):
        build(include_top=False, weights=None, input_shape=(smallest - 1, smallest - 1, 3))
    check_backbone(name, smallest, 3, "imagenet")
    with pytest.raises(UsageError, match=f"image_size_px={smallest - 1} is too small for {name}; it needs {smallest}"):
        check_backbone(name, smallest - 1, 3, "imagenet")


def test_a_typo_is_answered_with_the_nearest_name() -> None:
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


def test_a_backbone_is_frozen_and_has_the_files_weights(backbone_weights) -> None:
    backbone = load_backbone("MobileNetV2", 32, str(backbone_weights))
    assert not backbone.trainable_weights
    assert backbone.output_shape == (None, 1, 1, 1280)
    again = load_backbone("MobileNetV2", 32, str(backbone_weights))
    for one, other in zip(backbone.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_family_that_keras_scales_wrongly_with_a_file_is_refused(tmp_path) -> None:
    (tmp_path / "w.h5").write_bytes(b"weights")
    with pytest.raises(UsageError, match="EfficientNetB0 takes 'imagenet' only"):
        check_backbone("EfficientNetB0", 224, 3, str(tmp_path / "w.h5"))
    check_backbone("EfficientNetV2B0", 224, 3, str(tmp_path / "w.h5"))
