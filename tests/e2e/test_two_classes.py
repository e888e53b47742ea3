"""Two classes, one sigmoid: from photos to the predictions of the release, with Petalflow and without."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command import Ended, Place, petalflow

SETTINGS = (
    "train.backbone=dense",
    "train.image_size_px=8",
    "train.max_epochs=12",
    "export.litert=false",
    "evaluate.min_accuracy=0.6",
)

# How a user without Petalflow uses a release.
STRANGER = """
import json, sys
import keras, numpy as np, tensorflow as tf

folder, *files = sys.argv[1:]
saved, model = tf.saved_model.load(folder), keras.saving.load_model(folder + "/model.keras")
prediction = saved.signatures["serving_default"](image_bytes=tf.constant([open(file, "rb").read() for file in files]))
pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
print(json.dumps({
    "scores": prediction["scores"].numpy().tolist(),
    "labels": [label.decode() for label in prediction["label"].numpy()],
    "of_keras": model.predict(pixels.astype("float32"), verbose=0).tolist(),
    "of_saved": saved.signatures["pixels"](pixels=pixels)["scores"].numpy().tolist(),
    "ours": [name for name in sys.modules if name.split(".")[0] in ("petalflow", "components")],
}))
"""


@pytest.fixture(scope="module")
def place(make_flowers, tmp_path_factory) -> Place:
    home = tmp_path_factory.mktemp("two")
    photos = make_flowers(home / "photos", classes=("daisy", "tulip"), each=150, px=16)
    return Place(photos, home / "out", home / "models")


@pytest.fixture(scope="module")
def ended(place) -> Ended:
    return place.run(*SETTINGS)


@pytest.fixture(scope="module")
def release(ended, place) -> Path:
    assert ended.code == 0, ended.output + ended.errors
    return place.registry / "digits" / "1"


@pytest.fixture(scope="module")
def photos(place) -> list[str]:
    return [str(place.source / name / "001.jpg") for name in ("daisy", "tulip")]


def test_the_release_states_that_it_is_a_binary_classifier(release) -> None:
    export = json.loads((release / "export.json").read_text())
    assert (export["task"], export["class_names"]) == ("binary", ["daisy", "tulip"])
    assert "`[n, 1]`, the probability of tulip" in (release / "model_card.md").read_text()


def test_predict_gives_class_names_and_scores_that_add_up_to_1(release, photos) -> None:
    ended = petalflow("predict", str(release), "--json", *photos)
    assert ended.code == 0, ended.errors
    predictions = [json.loads(line) for line in ended.output.splitlines()]
    assert [prediction["label"] for prediction in predictions] == ["daisy", "tulip"]
    for prediction in predictions:
        assert set(prediction["scores"]) == {"daisy", "tulip"}
        assert sum(prediction["scores"].values()) == pytest.approx(1)
        assert prediction["score"] == prediction["scores"][prediction["label"]] >= 0.5


def test_the_release_works_without_petalflow(release, photos) -> None:
    command = [sys.executable, "-c", STRANGER, str(release), *photos]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=release)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert loaded["ours"] == []
    assert loaded["labels"] == ["daisy", "tulip"]
    assert all(sum(scores) == pytest.approx(1) for scores in loaded["scores"])
    for (second,), scores in zip(loaded["of_keras"], loaded["of_saved"], strict=True):
        assert scores == pytest.approx([1 - second, second], abs=1e-5)
