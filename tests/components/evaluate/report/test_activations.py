import io
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from components.evaluate.report.activations import draw_activations, first_seen
from components.evaluate.report.unnest import unnested
from components.train import networks
from components.train.backbones import load_backbone
from components.train.settings import TrainSettings
from petalflow.model.files import TrainedModel
from petalflow.model.task import Task


def build(backbone: str, size_px: int, **settings: object) -> TrainedModel:
    """Returns an untrained network, as train builds it."""
    keras.utils.set_random_seed(0)
    chosen = TrainSettings.model_validate(
        {"backbone": backbone, "image_size_px": size_px, "weights": "none", **settings}
    )
    if backbone in ("cnn", "dense"):
        network = networks.build_from_scratch(chosen, Task.MULTI_CLASS, 3)
    else:
        network = networks.feature_model(load_backbone(backbone, size_px, "none"), backbone, size_px, "avg")
    return TrainedModel(network, ("a", "b", "c"), Task.MULTI_CLASS, size_px, {})


def size_of(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return image.size


def noise(count: int, size_px: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size_px, size_px, 3), np.uint8)


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        ("VGG16", ["block1_conv1", "block1_conv2", "block1_pool", "block2_conv1", "block2_conv2"]),
        ("MobileNetV2", ["Conv1", "expanded_conv_depthwise", *(f"block_{at}_depthwise" for at in (1, 2, 3))]),
        ("ResNet50", ["conv1_conv", "pool1_pool", *(f"conv2_block{at}_2_conv" for at in (1, 2, 3))]),
    ],
)
def test_the_first_convolutions_and_poolings_are_shown(backbone: str, expected: list[str]) -> None:
    seen = first_seen(unnested(build(backbone, 64).keras_model).steps, 5)
    assert [step.layer.name for step, _ in seen] == expected


def test_of_a_network_from_scratch_all_are_shown_by_turns() -> None:
    seen = first_seen(unnested(build("cnn", 32).keras_model).steps, 100)
    convolution, pooling = keras.layers.Conv2D, keras.layers.MaxPooling2D
    assert [type(step.layer) for step, _ in seen] == [*[convolution, pooling] * 3, convolution]


def test_a_convolution_is_shown_as_the_next_layer_reads_it() -> None:
    model = build("MobileNetV2", 64)
    network = unnested(model.keras_model)
    ((_, shown),) = first_seen(network.steps, 1)
    (read,) = [step.inputs[0] for step in network.steps if step.layer.name == "expanded_conv_depthwise"]
    images = noise(2, 64).astype(np.float32)
    values, expected = keras.Model(network.input, [shown, read])(images, training=False)
    np.testing.assert_array_equal(np.asarray(values), np.asarray(expected))
    assert np.asarray(values).min() == 0


def test_a_column_an_image_and_a_row_a_layer() -> None:
    model = build("cnn", 32)
    width, height = size_of(draw_activations(model, noise(3, 32), ["a", "b", "c"], layers=2))
    assert size_of(draw_activations(model, noise(4, 32), ["a", "b", "c", "d"], layers=2)) == (width + 124, height)
    assert size_of(draw_activations(model, noise(3, 32), ["a", "b", "c"], layers=3)) == (width, height + 124)
    assert size_of(draw_activations(model, noise(3, 32), ["a", "b", "c"], layers=1)) == (width, height - 124)


def test_the_same_image_twice_gives_the_same_column_twice() -> None:
    first, second = noise(2, 32)
    png = draw_activations(build("cnn", 32), np.stack([first, second, first]), ["", "", ""])
    with Image.open(io.BytesIO(png)) as image:
        sheet = np.asarray(image.convert("RGB"))
    columns = [sheet[:, 160 + 124 * at : 160 + 124 * at + 114] for at in range(3)]
    np.testing.assert_array_equal(columns[0], columns[2])
    assert all((columns[0] != columns[1])[24 + 124 * row : 148 + 124 * row].any() for row in range(6))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_without_convolutions_has_nothing_to_show(channels: int) -> None:
    assert draw_activations(build("dense", 16, channels=channels), noise(2, 16), ["a", "b"]) is None


def test_of_real_photos_the_file_is_not_large(shared_data: Path) -> None:
    photos = sorted((shared_data / "flowers").rglob("*.jpg"))[::300][:5]
    images = [np.asarray(Image.open(path).convert("RGB").resize((192, 192))) for path in photos]
    png = draw_activations(build("MobileNetV2", 192), np.stack(images), [path.stem for path in photos])
    assert 50_000 < len(png) < 300_000
