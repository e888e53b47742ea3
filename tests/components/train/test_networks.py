import keras
import numpy as np
import pytest

from components.train.devices import dtype_policy
from components.train.networks import build_from_scratch, build_head, feature_model, join, pooling_layer, to_float32
from components.train.settings import TrainSettings
from petalflow.model.task import Task


def pooling_layers(model: keras.Model) -> int:
    return sum(isinstance(layer, keras.layers.MaxPooling2D) for layer in model.layers)


@pytest.mark.parametrize(("size_px", "pools"), [(8, 1), (28, 2), (64, 4), (150, 5)])
def test_the_depth_of_the_cnn_follows_the_image_size(size_px: int, pools: int) -> None:
    model = build_from_scratch(TrainSettings(backbone="cnn", image_size_px=size_px), Task.MULTI_CLASS, classes=3)
    assert pooling_layers(model) == pools
    assert model.output_shape == (None, 3)


def test_dense_is_flatten_hidden_softmax() -> None:
    model = build_from_scratch(
        TrainSettings(backbone="dense", image_size_px=28, channels=1), Task.MULTI_CLASS, classes=10
    )
    assert model.count_params() - 3 == (28 * 28 + 1) * 128 + (128 + 1) * 10  # 3: the fixed grey weights


def test_scaling_is_inside_and_scores_are_probabilities() -> None:
    model = build_from_scratch(TrainSettings(backbone="dense", image_size_px=8), Task.MULTI_CLASS, classes=4)
    scores = np.asarray(model(np.full((2, 8, 8, 3), 255.0, np.float32)))
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert any(isinstance(layer, keras.layers.Rescaling) for layer in model.layers)


def test_grey_is_the_luma_of_the_colours() -> None:
    model = build_from_scratch(
        TrainSettings(backbone="dense", image_size_px=4, channels=1), Task.MULTI_CLASS, classes=2
    )
    green, red = np.zeros((2, 1, 4, 4, 3), np.float32)
    green[..., 1], red[..., 0] = 29.9 / 0.587, 29.9 / 0.299  # of equal luma
    np.testing.assert_allclose(np.asarray(model(green)), np.asarray(model(red)), atol=1e-5)


def test_a_joined_model_is_the_head_on_the_features() -> None:
    backbone = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    features = feature_model(backbone, "MobileNetV2", 32, "avg")
    inputs = keras.Input((1280,))
    head = keras.Model(inputs, build_head(inputs, [16], 0.2, Task.MULTI_CLASS, 3))
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    joined = join(features, head, "both")
    np.testing.assert_allclose(
        np.asarray(joined(images, training=False)), np.asarray(head(features(images, training=False))), atol=1e-6
    )


def test_the_hidden_layers_are_those_of_the_settings() -> None:
    settings = TrainSettings(backbone="dense", image_size_px=4, hidden_units=(6, 5), dropout=0)
    model = build_from_scratch(settings, Task.MULTI_CLASS, classes=3)
    images = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype(np.float32)
    x = images.reshape(2, -1) / 255
    for name in ("hidden", "hidden_2"):
        kernel, bias = model.get_layer(name).get_weights()
        x = np.maximum(x @ kernel + bias, 0)
    kernel, bias = model.get_layer("probabilities").get_weights()
    assert kernel.shape == (5, 3)
    scores = np.exp(x @ kernel + bias)
    np.testing.assert_allclose(
        np.asarray(model(images)), scores / scores.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("units", [0, ()])
def test_zero_hidden_units_make_no_hidden_layer(units: int | tuple[int, ...]) -> None:
    settings = TrainSettings(backbone="dense", image_size_px=4, hidden_units=units)
    model = build_from_scratch(settings, Task.MULTI_CLASS, classes=3)
    assert model.count_params() == (4 * 4 * 3 + 1) * 3


@pytest.mark.parametrize("size_px", [28, 63, 150, 300, 511])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_larger_image_makes_the_cnn_deeper_not_wider(size_px: int, channels: int) -> None:
    settings = TrainSettings(backbone="cnn", image_size_px=size_px, channels=channels)
    model = build_from_scratch(settings, Task.MULTI_CLASS, classes=10)
    assert model.count_params() < 4e6
    (flat,) = [layer for layer in model.layers if isinstance(layer, keras.layers.Flatten)]
    assert 4 <= flat.input.shape[1] < 8
    assert flat.output.shape[1] <= 7 * 7 * 256


@pytest.mark.parametrize(
    ("task", "classes", "units"), [(Task.BINARY, 2, 1), (Task.MULTI_LABEL, 4, 4), (Task.MULTI_CLASS, 4, 4)]
)
def test_the_task_decides_the_last_layer(task: Task, classes: int, units: int) -> None:
    settings = TrainSettings(backbone="cnn", image_size_px=8, channels=1)
    model = build_from_scratch(settings, task, classes)
    images = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype(np.float32)
    scores = np.asarray(model(images, training=False))
    last = model.get_layer("probabilities")
    logits = np.asarray(keras.Model(model.inputs, last.input)(images)) @ last.kernel.numpy() + last.bias.numpy()
    assert scores.shape == (3, units)
    sigmoids = 1 / (1 + np.exp(-logits))
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores, softmax if task is Task.MULTI_CLASS else sigmoids, rtol=1e-4)


@pytest.mark.parametrize("pooling", ["avg", "max", "flatten"])
def test_pooling_makes_a_vector_of_a_feature_map(pooling: str) -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype(np.float32)
    expected = {"avg": values.mean((1, 2)), "max": values.max((1, 2)), "flatten": values.reshape(2, -1)}
    np.testing.assert_allclose(np.asarray(pooling_layer(pooling)(values)), expected[pooling], atol=1e-6)


def test_dropout_drops_its_share_in_training_only() -> None:
    inputs = keras.Input((4000,))
    model = keras.Model(inputs, build_head(inputs, [], 0.3, Task.MULTI_CLASS, 2))
    dropped = np.asarray(model.get_layer("dropout")(np.ones((1, 4000), np.float32), training=True))
    assert (dropped == 0).mean() == pytest.approx(0.3, abs=0.04)
    values = np.ones((1, 4000), np.float32)
    np.testing.assert_array_equal(np.asarray(model(values, training=False)), np.asarray(model(values)))


def test_a_bfloat16_model_converted_to_float32_equals_one_built_in_float32() -> None:
    def build() -> keras.Model:
        backbone = keras.applications.ConvNeXtTiny(include_top=False, weights=None, input_shape=(32, 32, 3))
        return feature_model(backbone, "ConvNeXtTiny", 32, "avg")

    with dtype_policy("mixed_bfloat16"):
        model = build()
    copy, plain = to_float32(model), build()
    plain.set_weights(model.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(copy(images)), np.asarray(plain(images)))
    assert np.asarray(model(images)).dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(model(images)).astype(np.float32), np.asarray(copy(images)), atol=0.1)
