import keras
import numpy as np
import pytest

from components.train.networks import build_from_scratch, build_head, feature_model, join
from components.train.settings import TrainSettings
from petalflow.model.task import Task


def pooling_layers(model: keras.Model) -> int:
    return sum(isinstance(layer, keras.layers.MaxPooling2D) for layer in model.layers)


@pytest.mark.parametrize(("size_px", "pools"), [(8, 1), (28, 2), (64, 4), (150, 5)])
def test_the_ladder_of_the_cnn_follows_the_image_size(size_px: int, pools: int) -> None:
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


def test_grey_is_what_colour_weighs() -> None:
    model = build_from_scratch(
        TrainSettings(backbone="dense", image_size_px=4, channels=1), Task.MULTI_CLASS, classes=2
    )
    green, red = np.zeros((2, 1, 4, 4, 3), np.float32)
    green[..., 1], red[..., 0] = 29.9 / 0.587, 29.9 / 0.299  # as bright as each other, as grey goes
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
