import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.train.event_files import write_event_files

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
    assert losses[1] != losses[1], "no number"


def test_tensorboard_shows_them(events: Path, tmp_path) -> None:
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(events), "--port", "0"]
    command += ["--host", "127.0.0.1", "--load_fast", "false", "--reload_multifile", "true"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            address = _address(process, tmp_path / "log")
            scalars = _json(f"{address}data/plugin/scalars/tags", wanted="validation")
            assert set(scalars) == {"train", "validation"}
            assert "loss" in scalars["validation"]
            points = _json(f"{address}data/plugin/scalars/scalars?run=train&tag=accuracy")
            assert [point[1:] for point in points] == [[1, 0.5], [2, 0.75]]
            assert "images" in _json(f"{address}data/plugin/images/tags", wanted="train")["train"]
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


def _json(address: str, wanted: str = ""):
    """Returns what is at an address, once it names what is wanted: files are read in the background."""
    for _ in range(600):
        answer = urllib3.request("GET", address).json()
        if not wanted or wanted in answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(answer)
