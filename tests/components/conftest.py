"""A tiny source of three colours, and what each step makes of it; made once for all processes of a test run."""

import csv
import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeOnce = Callable[[str, Callable[[Path], object]], Path]

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}
IMAGES_PER_CLASS = 90
# The first of every 12 images of a class has a wrong label, so that there are mistakes to find.
WRONG_EVERY = 12


def write_colours(folder: Path, names: tuple[str, ...] = tuple(COLOURS)) -> Path:
    """Writes noisy images of one colour per class into folders with these names."""
    generator = np.random.default_rng(7)
    colours = list(COLOURS.values())[: len(names)]
    for index, (name, colour) in enumerate(zip(names, colours, strict=True)):
        for number in range(IMAGES_PER_CLASS):
            wrong = number % WRONG_EVERY == 0
            shown = colours[(index + 1) % len(colours)] if wrong else colour
            pixels = np.clip(generator.normal(shown, 30, (20, 24, 3)), 0, 255).astype(np.uint8)
            target = folder / name / f"{number:03d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target)
    return folder


def write_flags(folder: Path, images: int = 120) -> Path:
    """Writes noisy flags of one to three colours, and a manifest with the names of the colours of each."""
    generator = np.random.default_rng(7)
    rows = []
    for number in range(images):
        shown = [name for bit, name in enumerate(COLOURS) if (number % 7 + 1) >> bit & 1]
        stripes = np.repeat([colour if name in shown else (0, 0, 0) for name, colour in COLOURS.items()], 8, 0)
        pixels = np.clip(generator.normal(stripes, 30, (20, 24, 3)), 0, 255).astype(np.uint8)
        target = folder / f"{number:03d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(target)
        rows.append([target.name, "|".join(shown)])
    with (folder / "flags.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label"], *rows])
    return folder / "flags.csv"


def make_dataset(source: Path, out: Path, **settings: object) -> Path:
    from components.convert.convert import convert
    from components.convert.settings import ConvertSettings

    convert(str(source), out, ConvertSettings.model_validate(settings))
    return out


def make_model(dataset: Path, out: Path) -> Path:
    from components.train.settings import TrainSettings
    from components.train.train import train

    train(dataset, out, TrainSettings(backbone="dense", image_size_px=16, max_epochs=8, patience_epochs=3))
    return out


def make_evaluation(model: Path, dataset: Path, out: Path) -> Path:
    from components.evaluate.evaluate import evaluate
    from components.evaluate.settings import EvaluateSettings

    settings = EvaluateSettings(min_accuracy=0.3, min_test_images=1, calibrate=False)
    evaluate(model, dataset, out, settings, None)
    return out


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """A function that returns a named folder, filled by the first process that requests it.

    The processes of pytest-xdist share it; tests only read it.
    """
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = home / "shared" / name, home / "shared" / f"{name}.done"
        folder.parent.mkdir(exist_ok=True)
        with (home / "shared" / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                folder.mkdir()  # fails where an earlier attempt has failed
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def tiny_dataset(make_once: MakeOnce) -> Path:
    return make_once("tiny", lambda to: make_dataset(write_colours(to / "source"), to / "dataset")) / "dataset"


@pytest.fixture(scope="session")
def tiny_dataset_otherwise(tiny_dataset: Path, make_once: MakeOnce) -> Path:
    """A dataset of fewer images from the source of `tiny_dataset`."""
    source = tiny_dataset.parent / "source"
    return make_once("fewer", lambda to: make_dataset(source, to / "dataset", max_images_per_class=20)) / "dataset"


@pytest.fixture(scope="session")
def tiny_model(tiny_dataset: Path, make_once: MakeOnce) -> Path:
    return make_once("tiny-model", lambda to: make_model(tiny_dataset, to / "model")) / "model"


@pytest.fixture(scope="session")
def pair_dataset(make_once: MakeOnce) -> Path:
    """A dataset of two classes."""

    def make(folder: Path) -> None:
        make_dataset(write_colours(folder / "source", ("blue", "green")), folder / "dataset")

    return make_once("pair", make) / "dataset"


@pytest.fixture(scope="session")
def pair_model(pair_dataset: Path, make_once: MakeOnce) -> Path:
    """A model that ends in one sigmoid."""
    return make_once("pair-model", lambda to: make_model(pair_dataset, to / "model")) / "model"


@pytest.fixture(scope="session")
def flags_dataset(make_once: MakeOnce) -> Path:
    """A dataset of images that have several labels."""
    return make_once("flags", lambda to: make_dataset(write_flags(to / "source"), to / "dataset")) / "dataset"


@pytest.fixture(scope="session")
def flags_model(flags_dataset: Path, make_once: MakeOnce) -> Path:
    """A model that ends in one sigmoid per class."""
    return make_once("flags-model", lambda to: make_model(flags_dataset, to / "model")) / "model"


@pytest.fixture(scope="session")
def tiny_evaluation(tiny_model: Path, tiny_dataset: Path, make_once: MakeOnce) -> Path:
    return make_once("tiny-evaluation", lambda to: make_evaluation(tiny_model, tiny_dataset, to / "evaluation")) / (
        "evaluation"
    )


@pytest.fixture(scope="session")
def tiny_export(tiny_model: Path, tiny_dataset: Path, make_once: MakeOnce, preloaded_python: str) -> Path:
    def make(folder: Path) -> None:
        from components.export.export import export
        from components.export.settings import ExportSettings
        from petalflow.model.serving import Serving

        serving = Serving(temperature=1.0, abstain_threshold=0.0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "executable", preloaded_python)  # for the process that verifies the export
            export(tiny_model, tiny_dataset, serving, folder / "export", ExportSettings())

    return make_once("tiny-export", make) / "export"


@pytest.fixture(scope="session")
def tiny_registry(
    tiny_export: Path, tiny_evaluation: Path, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A registry with release 1 of "tiny"."""
    from components.release.release import release

    registry = tmp_path_factory.mktemp("tiny-registry")
    made = {"run_id": "first", "source": "tiny", "dataset_uri": str(tiny_dataset), "code_version": "test"}
    release(tiny_export, tiny_evaluation, tiny_dataset, str(registry), "tiny", settings={}, **made)
    return registry


@pytest.fixture(scope="session")
def hostile_evaluation(make_once: MakeOnce) -> Path:
    """An evaluation of classes whose names are markup."""

    def make(folder: Path) -> None:
        names = ("<img src=x onerror=alert(1)>", "<b>bold<b>", "a & b")
        dataset = make_dataset(write_colours(folder / "source", names), folder / "dataset")
        make_evaluation(make_model(dataset, folder / "model"), dataset, folder / "evaluation")

    return make_once("hostile", make) / "evaluation"


@pytest.fixture(scope="session")
def backbone_weights(make_once: MakeOnce) -> Path:
    """Weights of MobileNetV2 without top; random ones, since their quality does not matter here."""
    name = "mobilenet_v2.weights.h5"

    def make(folder: Path) -> None:
        import keras

        keras.utils.set_random_seed(0)
        keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3)).save_weights(
            folder / name
        )

    return make_once("weights", make) / name
