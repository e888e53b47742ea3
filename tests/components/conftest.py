"""A tiny source of three colours, and what each step makes of it; made once a session."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}
IMAGES_PER_CLASS = 90
# Every so many images the label is wrong, so that there are mistakes to be found.
WRONG_EVERY = 12


def write_colours(folder: Path, names: tuple[str, ...] = tuple(COLOURS)) -> Path:
    """Writes noisy images of a colour each into folders of these names."""
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
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    return make_dataset(write_colours(folder / "source"), folder / "dataset")


@pytest.fixture(scope="session")
def tiny_dataset_otherwise(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the same source as `tiny_dataset`, with fewer of its images."""
    source = tiny_dataset.parent / "source"
    return make_dataset(source, tmp_path_factory.mktemp("otherwise") / "dataset", max_images_per_class=20)


@pytest.fixture(scope="session")
def tiny_model(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tiny_dataset, tmp_path_factory.mktemp("tiny-model") / "model")


@pytest.fixture(scope="session")
def pair_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two classes."""
    folder = tmp_path_factory.mktemp("pair")
    return make_dataset(write_colours(folder / "source", ("blue", "green")), folder / "dataset")


@pytest.fixture(scope="session")
def pair_model(pair_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sigmoid."""
    return make_model(pair_dataset, tmp_path_factory.mktemp("pair-model") / "model")


@pytest.fixture(scope="session")
def flags_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of images that have several labels."""
    folder = tmp_path_factory.mktemp("flags")
    return make_dataset(write_flags(folder / "source"), folder / "dataset")


@pytest.fixture(scope="session")
def flags_model(flags_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sigmoid a class."""
    return make_model(flags_dataset, tmp_path_factory.mktemp("flags-model") / "model")


@pytest.fixture(scope="session")
def tiny_evaluation(tiny_model: Path, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_evaluation(tiny_model, tiny_dataset, tmp_path_factory.mktemp("tiny-evaluation") / "evaluation")


@pytest.fixture(scope="session")
def tiny_export(tiny_model: Path, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from components.export.export import export
    from components.export.settings import ExportSettings
    from petalflow.model.serving import Serving

    out = tmp_path_factory.mktemp("tiny-export") / "export"
    export(tiny_model, tiny_dataset, Serving(temperature=1.0, abstain_threshold=0.0), out, ExportSettings())
    return out


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
def hostile_evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of classes whose names are markup."""
    folder = tmp_path_factory.mktemp("hostile")
    names = ("<img src=x onerror=alert(1)>", "<b>bold<b>", "a & b")
    dataset = make_dataset(write_colours(folder / "source", names), folder / "dataset")
    model = make_model(dataset, folder / "model")
    return make_evaluation(model, dataset, folder / "evaluation")


@pytest.fixture(scope="session")
def backbone_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of MobileNetV2 without top; random ones, since nothing here depends on their being good."""
    import keras

    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mobilenet_v2.weights.h5"
    keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3)).save_weights(path)
    return path
