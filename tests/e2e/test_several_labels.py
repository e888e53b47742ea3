"""Several labels per image: from a manifest to the predictions of the release."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.command import Ended, Place, petalflow

SETTINGS = (
    "train.backbone=dense",
    "train.image_size_px=12",
    "train.max_epochs=40",
    "train.learning_rate=0.003",
    "export.litert=false",
    "evaluate.min_accuracy=0.5",
    "evaluate.min_recall=0.3",
)
STRIPES = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


def write_flags(folder: Path, images: int = 300) -> Path:
    """Writes flags with a stripe per colour, some of them black, and a manifest of the colours that are shown."""
    generator, rows = np.random.default_rng(0), []
    folder.mkdir()
    for number in range(images):
        shown = [name for bit, name in enumerate(STRIPES) if (number % 7 + 1) >> bit & 1]
        flag = np.repeat([colour if name in shown else (0, 0, 0) for name, colour in STRIPES.items()], 8, axis=0)
        pixels = np.clip(generator.normal(flag[:, None], 20, (24, 24, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
        rows.append([f"{number:03d}.png", "|".join(shown)])
    with (folder / "flags.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label"], *rows])
    return folder / "flags.csv"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    home = tmp_path_factory.mktemp("several")
    return Place(write_flags(home / "flags"), home / "out", home / "models")


@pytest.fixture(scope="module")
def ended(place) -> Ended:
    return place.run(*SETTINGS)


def test_every_label_is_judged_and_the_model_released(ended, place) -> None:
    assert ended.code == 0, ended.output + ended.errors
    verdict = json.loads((place.registry / "digits" / "1" / "verdict.json").read_text())
    assert [check["slice"] for check in verdict["checks"] if check["name"] == "min_recall"] == ["blue", "green", "red"]
    assert verdict["candidate"]["accuracy"] > 0.5


def test_predict_names_every_label(ended, place) -> None:
    photos = [str(place.source.parent / f"{number:03d}.png") for number in range(7)]
    done = petalflow("predict", str(place.registry / "digits"), "--json", *photos)
    assert done.code == 0, done.errors
    predicted = [set(json.loads(line)["label"].split("|")) for line in done.output.splitlines()]
    expected = [{name for bit, name in enumerate(STRIPES) if (number + 1) >> bit & 1} for number in range(7)]
    assert sum(one == other for one, other in zip(predicted, expected, strict=True)) >= 5
    assert {"blue", "green"} in predicted


def test_a_second_run_is_compared_with_the_release(ended, place) -> None:
    again = Place(place.source, place.out, place.registry).run(*SETTINGS, "evaluate.max_accuracy_drop=0.3")
    assert again.code == 0, again.output + again.errors
    verdict = json.loads((place.registry / "digits" / "2" / "verdict.json").read_text())
    (check,) = [check for check in verdict["checks"] if check["name"] == "max_accuracy_drop"]
    assert check["passed"]
    assert verdict["baseline"]["version"] == 1
