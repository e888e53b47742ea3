import io
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from components.evaluate.report.activations import (
    CELL_PX,
    choose_channels,
    draw_activations,
    draw_sheet,
    first_seen,
    fitted,
    show_channels,
)
from components.evaluate.report.layers import unnested
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


def test_all_layers_of_a_network_from_scratch_are_shown_alternating() -> None:
    seen = first_seen(unnested(build("cnn", 32).keras_model).steps, 100)
    convolution, pooling = keras.layers.Conv2D, keras.layers.MaxPooling2D
    assert [type(step.layer) for step, _ in seen] == [*[convolution, pooling] * 3, convolution]


def test_a_convolution_is_shown_after_its_activation() -> None:
    model = build("MobileNetV2", 64)
    network = unnested(model.keras_model)
    ((_, shown),) = first_seen(network.steps, 1)
    (read,) = [step.inputs[0] for step in network.steps if step.layer.name == "expanded_conv_depthwise"]
    images = noise(2, 64).astype(np.float32)
    values, expected = keras.Model(network.input, [shown, read])(images, training=False)
    np.testing.assert_array_equal(np.asarray(values), np.asarray(expected))
    assert np.asarray(values).min() == 0


def test_the_sheet_has_a_column_per_image_and_a_row_per_layer() -> None:
    model = build("cnn", 32)
    width, height = size_of(draw_activations(model, noise(3, 32), ["a", "b", "c"], layers=2))
    assert size_of(draw_activations(model, noise(4, 32), ["a", "b", "c", "d"], layers=2)) == (width + 124, height)
    assert size_of(draw_activations(model, noise(3, 32), ["a", "b", "c"], layers=3)) == (width, height + 124)
    assert size_of(draw_activations(model, noise(3, 32), ["a", "b", "c"], layers=1)) == (width, height - 124)


def test_identical_images_have_identical_columns() -> None:
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


def test_the_sheet_of_real_photos_is_a_small_file(shared_data: Path) -> None:
    photos = sorted((shared_data / "flowers").rglob("*.jpg"))[::300][:5]
    images = [np.asarray(Image.open(path).convert("RGB").resize((192, 192))) for path in photos]
    png = draw_activations(build("MobileNetV2", 192), np.stack(images), [path.stem for path in photos])
    assert 50_000 < len(png) < 300_000


def waves(strengths: list[float]) -> np.ndarray:
    """Returns maps [2, 16, 16, channels] of noise of this strength."""
    return np.random.default_rng(0).normal(size=(2, 16, 16, len(strengths))).astype(np.float32) * strengths + 100


def test_channels_with_the_largest_deviation_are_chosen_at_any_level() -> None:
    maps = waves([1, 5, 3, 4, 2])
    maps[..., 0] += 1000
    assert choose_channels(maps, 3) == [1, 3, 2]


def test_of_similar_channels_the_strongest_is_chosen() -> None:
    maps = waves([5, 1, 1, 3])
    maps[..., 1] = 0.9 * maps[..., 0]
    maps[..., 2] = -0.8 * maps[..., 0]
    assert choose_channels(maps, 2) == [0, 3]
    assert choose_channels(maps, 4) == [0, 3, 1, 2], "others being too few, those alike are better than none"


def test_all_channels_are_shown_if_there_are_few() -> None:
    assert sorted(choose_channels(waves([1, 2]), 4)) == [0, 1]
    (cell, _) = show_channels(waves([1, 2]))
    assert (cell[-40:] == 255).all(), "empty places are white"


def test_a_channel_has_one_scale_for_all_images() -> None:
    maps = np.zeros((2, 8, 8, 1), np.float32)
    maps[0, :4, :4], maps[1, :4, :4] = 1, 2
    maps[1, 4:, 4:] = 0.5
    weak, strong = (cell[:56, :56, 0] for cell in show_channels(maps))
    assert strong[5, 5] == 255
    assert weak[5, 5] in (127, 128)
    assert strong[50, 50] in (63, 64)
    assert weak[50, 5] == strong[50, 5] == 0


def test_a_constant_map_is_black() -> None:
    cells = show_channels(np.full((2, 4, 4, 6), 3, np.float32))
    assert all(cell.shape == (CELL_PX, CELL_PX, 3) and cell[10, 10, 0] == 0 for cell in cells)


def opened(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def plain(*colour: int) -> np.ndarray:
    return np.full((CELL_PX, CELL_PX, 3), colour, np.uint8)


def columns_of(sheet: np.ndarray) -> list[np.ndarray]:
    """Returns the middles of the pictures in a sheet of two columns and two rows, row by row."""
    width, height = (sheet.shape[1] - 160) // 2, (sheet.shape[0] - 24) // 2
    return [
        sheet[24 + row * height + CELL_PX // 2, 160 + column * width + CELL_PX // 2]
        for row in range(2)
        for column in range(2)
    ]


def test_pictures_are_placed_in_rows_and_columns_on_white() -> None:
    pictures = [[plain(200, 30, 90), plain(10, 220, 40)], [plain(60, 60, 60), plain(150, 150, 150)]]
    sheet = opened(draw_sheet(pictures, [("input", "8 × 8 × 3"), ("conv", "4 × 4 × 2")], ["a", "b"]))
    for seen, row_column in zip(columns_of(sheet), [p[0, 0] for row in pictures for p in row], strict=True):
        np.testing.assert_allclose(seen, row_column, atol=5)
    assert sheet[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("columns", [1, 5, 6, 7])
def test_a_sheet_of_any_width_is_complete(columns: int) -> None:
    sheet = opened(draw_sheet([[plain(9, 9, 9)] * columns], [("", "")], [""] * columns))
    assert sheet.shape == (24 + 124, 160 + 124 * columns, 3)


def test_labels_and_titles_are_written() -> None:
    pictures = [[plain(200, 30, 90)], [plain(60, 60, 60)]]
    sheet = opened(draw_sheet(pictures, [("input", "8"), ("", "")], ["a"]))
    rows = [sheet[24 + 124 * row : 24 + 124 * row + CELL_PX, :160] for row in range(2)]
    assert rows[0].min() < 100
    assert rows[1].min() == 255
    assert sheet[:24, 160:].min() < 100
    assert sheet[:24, :160].min() == 255


@pytest.mark.filterwarnings("error")  # of letters that the font has not
@pytest.mark.parametrize("title", ["", "$\\frac$", "two\nlines", "\U0010fffd", "w" * 300, "подсолнух"])
def test_any_title_can_be_drawn_and_stays_above_its_column(title: str) -> None:
    pictures = [[plain(200, 30, 90), plain(10, 220, 40)]]
    sheet = opened(draw_sheet(pictures, [("a" * 70, "8 × 8")], [title, ""]))
    assert sheet[:24, 160 + CELL_PX + 1 :].min() == 255
    assert sheet[24:, 158:160].min() == 255, "a long name of a layer is wrapped"


def test_small_pictures_show_their_pixels_and_large_ones_their_mean() -> None:
    checks = np.indices((2, 2)).sum(axis=0).astype(np.uint8) % 2 * 255
    assert set(np.unique(fitted(checks, 50))) == {0, 255}
    assert fitted(np.tile(checks, (50, 50)), 50).std() == 0
