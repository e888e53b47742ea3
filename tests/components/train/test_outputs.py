import csv
import json
import logging
import math
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import urllib3
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.train.outputs import artifact_metadata, write_event_files, write_outputs
from components.train.settings import TrainSettings
from components.train.state import TrainingState
from components.train.train import train
from petalflow.dataset import open_dataset
from petalflow.model.files import CURVES_FILE, load_model

FOR_PEOPLE = {"history.csv", "curves.png", "images.png", "summary.txt", "settings.yaml"}


@pytest.fixture(scope="module")
def finetuned(tiny_dataset, backbone_weights, tmp_path_factory) -> Path:
    """A model of two phases, with augmentation."""
    settings = TrainSettings.of(
        {
            "backbone": "MobileNetV2",
            "weights": str(backbone_weights),
            "image_size_px": 32,
            "recipe": "fine_tune",
            "max_epochs": 3,
            "fine_tune": {"max_epochs": 2, "layers": 0.1},
            "augment": {"flip": "horizontal", "variants": 2},
            "features": "kept",
        }
    )
    folder = tmp_path_factory.mktemp("outputs") / "model"
    train(tiny_dataset, folder, settings)
    return folder


def info_of(folder: Path) -> dict:
    return json.loads((folder / "model.json").read_text())


def test_every_file_for_people_is_written(finetuned: Path) -> None:
    names = {str(path.relative_to(finetuned)) for path in finetuned.rglob("*") if path.is_file()}
    events = {f"tensorboard/{run}/events.out.tfevents.petalflow" for run in ("train", "validation")}
    ours = {"model.keras", "model.json", "history.json", "complete.json"}
    assert names == FOR_PEOPLE | ours | events | {"augmentation.png"}
    for path in finetuned.glob("*.png"):
        with Image.open(path) as picture:
            assert "Software" not in picture.info
            assert np.asarray(picture.convert("L")).std() > 5, path


def test_the_table_holds_the_history(finetuned: Path) -> None:
    history = json.loads((finetuned / "history.json").read_text())
    with (finetuned / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, len(history["loss"]) + 1)]
    assert [row["phase"] for row in rows] == history["phase"]
    assert {"head", "fine-tuning"} == set(history["phase"])
    assert [float(row["val_loss"]) for row in rows] == history["val_loss"]


def test_the_settings_file_repeats_the_training(tiny_dataset, tiny_model, tmp_path, preloaded_python) -> None:
    command = [preloaded_python, "-m", "components.train", "--dataset", str(tiny_dataset), "--out", str(tmp_path / "m")]
    command += ["--config", str(tiny_model / "settings.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, again = load_model(tiny_model), load_model(tmp_path / "m")
    assert first.info["settings"] == again.info["settings"]
    for one, other in zip(first.keras_model.get_weights(), again.keras_model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_nested_settings_are_read_from_the_file(finetuned: Path) -> None:
    from petalflow.commandline import read_settings

    read = TrainSettings.of(read_settings("train", finetuned / "settings.yaml", None))
    assert read.model_dump(mode="json") == info_of(finetuned)["settings"]
    assert read.augment.variants == 2
    assert read.fine_tune.layers == 0.1


def test_the_summary_states_what_was_trained_and_is_plain_text(finetuned: Path) -> None:
    summary = (finetuned / "summary.txt").read_text(encoding="utf-8")
    assert "\x1b" not in summary
    for word in ("block_1_expand", "probabilities", "Param #", "Total params", "Non-trainable params"):
        assert word in summary
    assert max(map(len, summary.splitlines())) == 120, "no column is truncated"
    trainable = {line.split()[2]: line.split()[-2] for line in summary.splitlines() if line.startswith("│    └")}
    assert trainable["Conv1"] == "N"
    assert trainable["Conv_1"] == trainable["probabilities"] == "Y"


def test_the_model_records_how_it_was_trained(finetuned: Path) -> None:
    info = info_of(finetuned)
    assert info["devices"] == "CPU:0"
    assert info["precision"] == "float32"
    notes = "\n".join(info["notes"])
    for note in ("head on frozen MobileNetV2: its features are computed once", "fine-tuning", "head ended", "from"):
        assert note in notes
    assert len(set(info["notes"])) == len(info["notes"])


def test_equal_trainings_write_equal_plots(tiny_dataset, tiny_model, tmp_path) -> None:
    settings = TrainSettings.model_validate(info_of(tiny_model)["settings"])
    train(tiny_dataset, tmp_path / "again", settings)
    for name in ("curves.png", "images.png", "settings.yaml"):
        assert (tmp_path / "again" / name).read_bytes() == (tiny_model / name).read_bytes(), name


def test_a_file_that_cannot_be_written_does_not_stop_the_others(tiny_dataset, tiny_model, tmp_path, caplog) -> None:
    history = json.loads((tiny_model / "history.json").read_text())
    (tmp_path / CURVES_FILE).mkdir()  # blocks the file
    with caplog.at_level(logging.WARNING):
        state = TrainingState(history=history, best_epoch=0)
        model = load_model(tiny_model).keras_model
        write_outputs(tmp_path, open_dataset(tiny_dataset), TrainSettings(image_size_px=16), model, state)
    assert [record.getMessage() for record in caplog.records] == [
        "curves.png could not be written; the model is complete"
    ]
    assert {path.name for path in tmp_path.iterdir()} == FOR_PEOPLE | {"tensorboard"}


def test_an_epoch_of_nan_is_an_empty_cell(tiny_dataset, tiny_model, tmp_path) -> None:
    history = json.loads((tiny_model / "history.json").read_text())
    history["val_loss"][-1] = float("nan")
    model = load_model(tiny_model).keras_model
    state = TrainingState(history=history, best_epoch=0)
    write_outputs(tmp_path, open_dataset(tiny_dataset), TrainSettings(image_size_px=16), model, state)
    with (tmp_path / "history.csv").open(newline="") as file:
        assert [row["val_loss"] == "" for row in csv.DictReader(file)] == [False] * (len(history["loss"]) - 1) + [True]
    assert (tmp_path / "curves.png").stat().st_size


HISTORY = {
    "phase": ["head", "head"],
    "loss": [1.5, 0.5],
    "accuracy": [0.5, 0.75],
    "val_loss": [1.25, None],
    "val_accuracy": [0.25, 0.5],
    "learning_rate": [0.001, 0.001],
    "seconds": [2.0, 3.0],
    "waited": [0.1, 0.1],
}


@pytest.fixture
def events(tmp_path) -> Path:
    Image.new("RGB", (30, 20), (200, 0, 0)).save(tmp_path / "images.png")
    write_event_files(tmp_path / "events", HISTORY, {"images": tmp_path / "images.png"})
    return tmp_path / "events"


def test_tensorboards_own_reader_finds_scalars_and_images(events: Path) -> None:
    train = EventAccumulator(str(events / "train")).Reload()
    assert train.Tags()["scalars"] == ["loss", "accuracy", "learning_rate"]
    assert [(point.step, point.wall_time, point.value) for point in train.Scalars("loss")] == [(1, 2, 1.5), (2, 5, 0.5)]
    (image,) = train.Images("images")
    assert (image.width, image.height) == (30, 20)
    assert image.encoded_image_string.startswith(b"\x89PNG")
    validation = EventAccumulator(str(events / "validation")).Reload()
    losses = [point.value for point in validation.Scalars("loss")]
    assert losses[0] == 1.25
    assert losses[1] != losses[1], "NaN"


def test_tensorboard_shows_them(events: Path, tmp_path, preloaded_python: str) -> None:
    command = [preloaded_python, "-m", "tensorboard.main", "--logdir", str(events), "--port", "0"]
    command += ["--host", "127.0.0.1", "--load_fast", "false", "--reload_multifile", "true"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            address = _address(process, tmp_path / "log")
            scalars = _json(f"{address}data/plugin/scalars/tags", expected="validation")
            assert set(scalars) == {"train", "validation"}
            assert "loss" in scalars["validation"]
            points = _json(f"{address}data/plugin/scalars/scalars?run=train&tag=accuracy")
            assert [point[1:] for point in points] == [[1, 0.5], [2, 0.75]]
            assert "images" in _json(f"{address}data/plugin/images/tags", expected="train")["train"]
        finally:
            process.terminate()


def test_equal_histories_give_equal_bytes(events: Path, tmp_path) -> None:
    write_event_files(tmp_path / "again", HISTORY, {"images": tmp_path / "images.png"})
    for path in events.rglob("events*"):
        assert (tmp_path / "again" / path.relative_to(events)).read_bytes() == path.read_bytes()


def _address(process: subprocess.Popen, log: Path) -> str:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        for word in log.read_text().split():
            if word.startswith("http://127.0.0.1:"):
                return word
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def _json(address: str, expected: str = ""):
    """Returns an address's response as soon as it contains a text: TensorBoard reads files in the background."""
    for _ in range(600):
        answer = urllib3.request("GET", address).json()
        if not expected or expected in answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(answer)


INFO = {
    "task": "binary",
    "best_epoch": 3,
    "epochs": 5,
    "validation_accuracy": 0.75,
    "warm_started_from": "",
    "notes": ["head ended: enough", "recipe head: few images"],
    "settings": {"backbone": "MobileNetV2", "hidden_units": None},
    "versions": {"keras": "3.15.1", "tensorflow": "2.21.0"},
    "classes": ["daisy", "rose"],
}


def test_the_metadata_states_what_was_trained_how_and_how_well() -> None:
    metadata = artifact_metadata(INFO)
    assert json.loads(metadata.pop("settings")) == INFO["settings"]
    assert metadata == {
        "task": "binary",
        "backbone": "MobileNetV2",
        "best_epoch": 3,
        "epochs": 5,
        "validation_accuracy": 0.75,
        "notes": "head ended: enough; recipe head: few images",
        "keras_version": "3.15.1",
        "tensorflow_version": "2.21.0",
    }


def test_unknown_values_are_omitted() -> None:
    metadata = artifact_metadata(INFO | {"validation_accuracy": math.nan, "best_epoch": None, "notes": []})
    assert not {"validation_accuracy", "best_epoch", "notes"} & set(metadata)
    assert artifact_metadata(INFO | {"best_epoch": 0})["best_epoch"] == 0
