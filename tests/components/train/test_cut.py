import keras
import numpy as np
import pytest

from components.train.cut import cut_below, first_trained, still, thaw
from petalflow.errors import UsageError


def backbone_of(name: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(32, 32, 3))


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    return backbone_of("MobileNetV2")


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "EfficientNetV2B0", "DenseNet121", "NASNetMobile"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_the_two_parts_give_what_the_whole_gives(name: str, share: float) -> None:
    backbone = backbone_of(name)
    first = first_trained(backbone, share)
    cut = cut_below(backbone, first)
    if cut is None:  # every map above is read together with one below
        assert name == "NASNetMobile"
        return
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    expected = np.asarray(backbone(images, training=False))
    in_parts = np.asarray(cut.above(cut.below(images, training=False), training=False))
    np.testing.assert_allclose(in_parts, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    trained = {id(layer) for layer in backbone.layers[first:]}
    assert trained <= {id(layer) for layer in cut.above.layers}, "all that is trained is above"
    assert not trained & {id(layer) for layer in cut.below.layers}


def test_the_cut_is_the_nearest_where_a_single_map_passes(mobilenet) -> None:
    names = [layer.name for layer in mobilenet.layers]
    for first, expected in (
        ("block_13_expand", "block_12_add"),
        ("block_12_expand", "block_11_add"),
        ("block_12_depthwise", "block_11_add"),  # the block's input goes past it
        ("block_12_add", "block_11_add"),
        ("block_13_depthwise", "block_13_pad"),  # that of this block does not
        ("Conv_1", "block_16_project_BN"),
    ):
        assert cut_below(mobilenet, names.index(first)).layer == expected
    assert cut_below(mobilenet, 0) is None
    assert cut_below(mobilenet, 1) is None, "the image itself is no map to be kept"


def test_the_last_layers_are_given_by_number_by_share_or_by_name(mobilenet) -> None:
    total = len(mobilenet.layers)
    assert first_trained(mobilenet, 30) == total - 30
    assert first_trained(mobilenet, 1) == total - 1
    assert first_trained(mobilenet, 0.3) == total - round(0.3 * total)
    assert first_trained(mobilenet, 1.0) == 0
    assert mobilenet.layers[first_trained(mobilenet, "block_13_expand")].name == "block_13_expand"


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (0, "has 154 layers; give 1 to 154, or a share"),
        (155, "has 154 layers"),
        (0.001, "has 154 layers"),
        (2.5, "has 154 layers"),
        (-0.5, "has 154 layers"),
        ("block_13_expnd", "no such layer; did you mean block_13_expand"),
    ],
)
def test_layers_that_are_not_there_are_refused(mobilenet, layers: int | float | str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        first_trained(mobilenet, layers)


def test_normalizations_are_never_trained() -> None:
    backbone = backbone_of("MobileNetV2")
    first = first_trained(backbone, "block_13_expand")
    thaw(backbone, first)
    for index, layer in enumerate(backbone.layers):
        wanted = index >= first and not isinstance(layer, keras.layers.BatchNormalization)
        assert bool(layer.trainable_variables) == (wanted and bool(layer.variables)), layer.name


def test_a_stilled_backbone_gives_the_same_in_training_as_in_inference() -> None:
    backbone = backbone_of("EfficientNetV2B0")
    backbone.trainable = False
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    expected = np.asarray(backbone(images, training=False))
    assert not np.allclose(backbone(images, training=True), expected), "or there is nothing to be stilled"
    still(backbone)
    np.testing.assert_array_equal(backbone(images, training=True), expected)
