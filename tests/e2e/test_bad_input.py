"""Bad input: one line that names the value and the remedy, the right exit code, nothing left behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.command import QUICK, Place, petalflow

ENOUGH = (*QUICK, "evaluate.min_accuracy=0.8")


def draw(path: Path) -> None:
    Image.new("RGB", (8, 8), "white" if "cats" in path.parts else "black").save(path)


def two_classes(folder: Path, write: Callable[[Path], object] = draw) -> Path:
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        write(folder / name / "1.png")
    return folder


def expect(place: Place, settings: tuple[str, ...], code: int, *words: str) -> None:
    ended = place.run(*settings)
    assert ended.code == code, ended.output + ended.errors
    printed = ended.errors.strip()
    line = next(line for line in printed.splitlines() if line.startswith("petalflow: error: "))
    for word in words:
        assert word in line, line
    assert "Traceback" not in ended.output + ended.errors
    assert not (place.registry / "digits").exists()
    if code == 2:
        assert printed == line, "only one line"
        assert not place.out.exists(), "must be found before anything is made"


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path / "source", tmp_path / "out", tmp_path / "models")


def test_a_missing_source_is_an_error(place) -> None:
    expect(place, ENOUGH, 2, str(place.source), "does not exist")


def test_an_empty_source_is_an_error(place) -> None:
    place.source.mkdir()
    expect(place, ENOUGH, 2, str(place.source), "no class folders")


def test_classes_without_files_are_an_error(place) -> None:
    (place.source / "cats").mkdir(parents=True)
    (place.source / "dogs").mkdir()
    expect(place, ENOUGH, 2, str(place.source), "no class folders contain files")


def test_a_single_class_is_an_error(place) -> None:
    draw_one = place.source / "cats" / "1.png"
    draw_one.parent.mkdir(parents=True)
    (place.source / "dogs").mkdir()
    draw(draw_one)
    expect(place, ENOUGH, 2, "fewer than two classes", "only cats contains images")


def test_an_output_folder_inside_the_source_is_an_error(place) -> None:
    two_classes(place.source)
    for what, inside in (
        ("--out", Place(place.source, place.source / "runs", place.registry)),
        ("--registry", Place(place.source, place.out, place.source / "models")),
    ):
        ended = inside.run(*ENOUGH)
        assert ended.code == 2
        assert f"{what} {place.source}" in ended.errors
        assert "is inside the source" in ended.errors
    assert sorted(path.name for path in place.source.iterdir()) == ["cats", "dogs"]


def test_an_unwritable_record_is_an_error(place, tmp_path) -> None:
    two_classes(place.source)
    (tmp_path / "file").write_text("in the way")
    for where in (str(tmp_path / "file" / "below"), "foo://bar"):
        command = [*place.command(*ENOUGH)[1:], "--record", where]
        ended = petalflow(*command)
        assert ended.code == 2, ended.output
        assert where in ended.errors
        assert ended.errors.count("\n") == 1
    assert not place.out.exists()


def test_a_source_without_a_readable_image_fails(place) -> None:
    two_classes(place.source, lambda path: path.write_text("not an image"))
    expect(place, ENOUGH, 1, "no readable image", "cats/1.png")
    assert not list(place.out.glob("steps/*/convert/dataset"))


def test_too_few_images_stop_before_training(place) -> None:
    two_classes(place.source)
    expect(place, ENOUGH, 1, "violates", "min_train_images (cats in train)")
    assert place.states()["train"] == "skipped"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((*QUICK,), ("no thresholds", "add, for example, --set evaluate.min_accuracy=0.8")),
        ((*ENOUGH, "train.bakbone=cnn"), ("unknown setting train.bakbone", "did you mean backbone?")),
        ((*ENOUGH, "trian.seed=1"), ("unknown section trian", "did you mean train?")),
        ((*ENOUGH, "train.learning_rate=-1"), ("train.learning_rate=-1", "greater than 0")),
        ((*ENOUGH, "train.seed"), ("--set 'train.seed'", "must look like")),
        ((*ENOUGH, "train.backbone=MobilNetV2"), ("'MobilNetV2' does not exist", "did you mean MobileNetV2")),
        ((*ENOUGH, "train.backbone=VGG16", "train.image_size_px=20"), ("20 is too small for VGG16", "32 or more")),
        (
            (*ENOUGH, "train.backbone=VGG16", "train.image_size_px=64", "train.channels=3", "train.weights=no.h5"),
            ("'no.h5' is not a file",),
        ),
    ],
)
def test_impossible_settings_are_errors(place, settings, words) -> None:
    two_classes(place.source)
    expect(place, settings, 2, *words)


def test_weights_of_another_backbone_are_an_error(place, shared_data) -> None:
    two_classes(place.source)
    (weights,) = (shared_data / "weights").glob("*.h5")
    settings = ("train.backbone=VGG16", "train.image_size_px=64", "train.channels=3", f"train.weights={weights}")
    expect(place, (*ENOUGH, *settings), 2, str(weights), "cannot be loaded into VGG16", "of this backbone")


@pytest.mark.parametrize("what", ["--out", "--registry"])
def test_an_unwritable_folder_is_an_error(place, tmp_path, what: str) -> None:
    two_classes(place.source)
    (tmp_path / "file").write_text("in the way")
    blocked = tmp_path / "file" / "below"
    place = Place(place.source, *((blocked, place.registry) if what == "--out" else (place.out, blocked)))
    ended = place.run(*ENOUGH)
    assert ended.code == 2
    assert ended.errors.count("\n") == 1
    assert f"{what} {blocked} cannot be written" in ended.errors
    assert not (tmp_path / "out").exists()


def test_missing_options_are_an_error() -> None:
    ended = petalflow("run")
    assert ended.code == 2
    assert "give the folder of photos: petalflow run PHOTOS" in ended.errors
    assert "--set evaluate.min_accuracy=0.8" in ended.errors
