import json
import subprocess

import pytest
from PIL import Image

from components.predict.predict import Prediction, predict
from components.predict.settings import PredictSettings
from petalflow import storage
from petalflow.errors import UsageError
from petalflow.registry import find_release


@pytest.fixture
def photos(tmp_path):
    Image.new("RGB", (40, 30), (200, 30, 30)).save(tmp_path / "red.png")
    Image.new("CMYK", (40, 30), (255, 255, 0, 40)).save(tmp_path / "blue.tif")  # TensorFlow cannot read TIFF
    (tmp_path / "notes.jpg").write_text("not a picture")
    return tmp_path


@pytest.mark.parametrize("runtime", ["litert", "saved_model"])
def test_all_files_have_a_prediction_in_order(tiny_registry, photos, runtime) -> None:
    release = find_release(storage.join(str(tiny_registry), "tiny"))
    files = [str(photos / name) for name in ("red.png", "notes.jpg", "blue.tif", "missing.png")]
    results = list(predict(release, files, PredictSettings(batch_size=3, runtime=runtime)))
    assert [result.file for result in results] == files
    assert [result.label for result in results] == ["red", None, "blue", None]
    assert sum(results[0].scores.values()) == pytest.approx(1, abs=1e-4)
    assert "no such file" in results[3].error
    assert "not an image" in results[1].error


def test_the_live_release_or_a_version_is_found(tiny_registry) -> None:
    name = storage.join(str(tiny_registry), "tiny")
    assert find_release(name).version == find_release(storage.join(name, "1")).version == 1
    with pytest.raises(UsageError, match="is not a release"):
        find_release(storage.join(name, "7"))


def test_a_line_has_file_label_score_or_abstains() -> None:
    sure = Prediction("a.jpg", "daisy", 0.91, True, {})
    unsure = Prediction("b.jpg", "daisy", 0.31, False, {})
    assert str(sure) == "a.jpg\tdaisy\t0.9100"
    assert str(unsure) == "b.jpg\tabstains\t0.3100"


def test_the_command_prints_json_and_fails_for_an_unreadable_file(tiny_registry, photos, preloaded_python) -> None:
    command = [preloaded_python, "-m", "components.predict", storage.join(str(tiny_registry), "tiny"), "--json"]
    files = [str(photos / "red.png"), str(photos / "notes.jpg")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["label"] == "red"
    assert second["error"]
    assert done.returncode == 1
    assert done.stderr.startswith("predict: version 1, with ")
    assert done.stderr.count("\n") == 1
