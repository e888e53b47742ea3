import io

import numpy as np
import pytest
from PIL import Image

from components.convert.convert import convert
from components.convert.settings import ConvertSettings
from components.train.plots import choose_sample, draw_curves, draw_images, draw_variations, read_sample
from components.train.settings import AugmentSettings
from petalflow.dataset import open_dataset
from tests.components.conftest import COLOURS

HEIGHT_OF_TWO = 600
TILE_PX, GAP_PX = 128, 8


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def history(phases: list[str], rates: list[float] | None = None) -> dict[str, list]:
    epochs = len(phases)
    falling = [2 / (1 + epoch) for epoch in range(epochs)]
    return {
        "phase": phases,
        "loss": falling,
        "val_loss": [value + 0.2 for value in falling],
        "accuracy": [1 - value / 2 for value in falling],
        "val_accuracy": [0.9 - value / 2 for value in falling],
        "learning_rate": rates or [1e-3] * epochs,
    }


@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_any_number_of_epochs_is_drawn(epochs: int) -> None:
    picture = pixels(draw_curves(history(["from scratch"] * epochs), epochs))
    assert picture.shape == (HEIGHT_OF_TWO, 800, 3)
    assert picture.std() > 10


def test_the_best_epoch_and_the_phases_are_marked() -> None:
    one = pixels(draw_curves(history(["head"] * 6), 2))
    assert (one != pixels(draw_curves(history(["head"] * 6), 5))).any()
    shades = [
        set(pixels(draw_curves(history(phases), 2))[400, :, 0].tolist())
        for phases in (["head"] * 6, ["head"] * 3 + ["fine-tuning"] * 3)
    ]
    assert shades[1] - shades[0], "the second phase has a shade of its own"


def test_a_varying_learning_rate_has_a_panel() -> None:
    rates = [1e-3, 1e-3, 1e-5, 1e-4, 0.0]
    assert len(pixels(draw_curves(history(["head"] * 5, rates), 2))) > HEIGHT_OF_TWO


def test_an_epoch_of_nan_leaves_a_gap(recwarn) -> None:
    given = history(["head"] * 4)
    whole = draw_curves(given, 2)
    given["loss"][-1] = given["val_loss"][-1] = None
    assert draw_curves(given, 2) != whole
    assert not recwarn.list


def test_equal_histories_give_equal_bytes() -> None:
    assert draw_curves(history(["head"] * 3), 2) == draw_curves(history(["head"] * 3), 2)


def plain(value: int, size: int = 8) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def test_classes_take_turns() -> None:
    labels = [(0,), (0,), (1,), (0,), (2,), (1,)]
    assert choose_sample(labels, 3) == [0, 2, 4, 1, 5, 3]


def test_an_image_of_several_classes_is_shown_once() -> None:
    assert sorted(choose_sample([(0, 1), (), (1, 2), (2,)], 3)) == [0, 2, 3]


def test_images_without_labels_are_shown_if_there_are_no_others() -> None:
    assert choose_sample([(), ()], 2) == [0, 1]


@pytest.mark.parametrize(("classes", "shown"), [(2, 40), (7, 35), (100, 100), (1000, 100)])
def test_the_grid_stays_small(classes: int, shown: int) -> None:
    chosen = choose_sample([(place % classes,) for place in range(2000)], classes)
    assert len(chosen) == len(set(chosen)) == shown


def test_the_images_are_those_of_the_train_split_with_their_labels(tiny_dataset) -> None:
    dataset = open_dataset(tiny_dataset)
    images, labels = read_sample(dataset, 16)
    assert all(image.shape == (16, 16, 3) and image.dtype == np.uint8 for image in images)
    colours = np.array([COLOURS[name] for name in dataset.classes])
    nearest = [int(np.abs(colours - image.mean(axis=(0, 1))).sum(axis=1).argmin()) for image in images]
    right = np.mean([(label,) == some for label, some in zip(nearest, labels, strict=True)])
    assert 0.8 < right < 1, "some labels of this dataset are wrong, and are shown as they are"
    trained_on = {record.sha256 for record in dataset.records("train")}
    assert len(images) == 39 <= len(trained_on)


def test_tiny_images_are_enlarged_without_smoothing() -> None:
    checks = np.indices((8, 8)).sum(axis=0) % 2 * 255
    image = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    shown = pixels(draw_images([image], [(0,)], ["a"]))[GAP_PX : GAP_PX + TILE_PX, GAP_PX : GAP_PX + TILE_PX]
    np.testing.assert_array_equal(shown, np.kron(checks, np.ones((16, 16)))[..., None].repeat(3, axis=2))


def test_images_are_placed_row_by_row() -> None:
    picture = pixels(
        draw_images([plain(10 * number) for number in range(12)], [(0,)] * 12, [str(n) for n in range(10)])
    )
    step = TILE_PX + GAP_PX
    assert [int(picture[60, 60 + step * column, 0]) for column in range(10)] == list(range(0, 100, 10))
    assert int(picture[60 + len(picture) // 2, 60, 0]) == 100


def test_a_caption_stays_under_its_image() -> None:
    def picture(name: str) -> np.ndarray:
        return pixels(draw_images([plain(255)] * 2, [(0,), (1,)], [name, "b"]))

    other = slice(GAP_PX + TILE_PX + 2, None)
    short, long = picture("W\nW"), picture("W" * 500 + "\n" + "x" * 500)
    assert (short != long[: len(short)]).any()
    np.testing.assert_array_equal(short[-8:, other], long[-8:, other])
    assert (long[:, : GAP_PX - 1] == 255).all()


@pytest.mark.parametrize("name", ["подсолнух", "向日葵", "$x_{1$", "🌻", "وردة", "\x1b[31m\n", "", "ü" * 300])
def test_any_class_name_is_drawn_without_a_warning(name: str, recwarn) -> None:
    draw_images([plain(0)] * 2, [(0,), (1,)], [name, "b"])
    assert not recwarn.list


def test_variations_are_drawn_next_to_the_image(tiny_dataset) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4] = 200
    picture = pixels(draw_variations(image, AugmentSettings(flip="vertical"), 0))
    tops = [int(picture[20, 20 + (TILE_PX + GAP_PX) * column, 0]) for column in range(8)]
    assert tops[0] == 200
    assert set(tops) == {0, 200}


def test_images_with_several_labels_are_read(make_flowers, tmp_path) -> None:
    make_flowers(tmp_path / "photos", each=12)
    rows = [
        f"{path.relative_to(tmp_path)},{'daisy|red' if path.parent.name == 'daisy' else path.parent.name}"
        for path in sorted((tmp_path / "photos").rglob("*.jpg"))
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *rows]))
    convert(str(tmp_path / "labels.csv"), tmp_path / "dataset", ConvertSettings(multi_label=True))
    dataset = open_dataset(tmp_path / "dataset")
    images, labels = read_sample(dataset, 32)
    assert (0, dataset.classes.index("red")) in labels
    assert draw_images(images, labels, dataset.classes)
