import re
import socket
from pathlib import Path

import pytest
import yaml

from petalflow.errors import UsageError
from pipeline.cli.init import initialize
from pipeline.project import find_project


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works in an empty folder, where nothing can be downloaded."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free.getsockname()[1]}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_photos_become_a_project_that_the_commands_find(
    make_flowers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_flowers(Path("my photos"), each=40)
    initialize("my photos", None, ["train.channels=1", "snapshot.if_changed=true"], replace=False)
    printed = capsys.readouterr().out
    assert "my-photos: 120 images in 3 classes (class folders)" in printed
    assert "daisy       40, 5 of them for testing" in printed
    assert "network: cnn at 32 px (pretrained backbones need colour)" in printed
    assert "images right by cross-validation" in printed
    assert "wrote petalflow.yaml" in printed
    assert Path("petalflow.yaml").read_text().startswith("# yaml-language-server: $schema=")
    monkeypatch.chdir("my photos/daisy")
    request = find_project().request(None, None, None)
    here = Path.cwd().parents[1]
    assert (request.source, request.name) == (str(here / "my photos"), "my-photos")
    assert request.registry == str(here / "models")
    train = request.configuration.train
    assert (train.backbone, train.image_size_px, train.channels) == ("cnn", 32, 1)
    assert request.configuration.snapshot.if_changed
    assert find_project().schedule.cron == "0 3 * * 1"


def test_missing_weights_are_named_and_the_file_is_written_all_the_same(
    make_flowers, capsys: pytest.CaptureFixture[str]
) -> None:
    make_flowers(Path("photos"))
    initialize("photos", "tulips", [], replace=False)
    printed = capsys.readouterr().out
    assert "weights: the ImageNet weights of MobileNetV2 are not in" in printed
    assert "write its path into petalflow.yaml: train: weights: PATH" in printed
    assert "before you type petalflow run: too few images: daisy has 8" in printed
    written = yaml.safe_load(Path("petalflow.yaml").read_text())
    assert written["project"]["name"] == "tulips"
    assert written["train"] == {"backbone": "MobileNetV2", "image_size_px": 224}
    assert 0.3 < written["evaluate"]["min_accuracy"] < 1
    assert "A guess" in Path("petalflow.yaml").read_text()


def test_what_is_set_is_written_instead_of_what_is_proposed(make_flowers) -> None:
    make_flowers(Path("photos"), each=20)
    initialize("photos", None, ["train.backbone=dense", "evaluate.min_accuracy=0.33"], replace=False)
    written = yaml.safe_load(Path("petalflow.yaml").read_text())
    assert written["train"] == {"backbone": "dense", "image_size_px": 32}
    assert written["evaluate"] == {"min_accuracy": 0.33}


def test_a_file_is_replaced_only_on_request(make_flowers) -> None:
    make_flowers(Path("photos"))
    Path("petalflow.yaml").write_text("mine")
    with pytest.raises(UsageError, match=r"petalflow\.yaml exists; add --force"):
        initialize("photos", None, [], replace=False)
    assert Path("petalflow.yaml").read_text() == "mine"
    initialize("photos", None, ["train.backbone=cnn"], replace=True)
    assert yaml.safe_load(Path("petalflow.yaml").read_text())["project"]["source"] == "photos"


def test_nothing_is_written_if_the_photos_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        initialize("nowhere", None, [], replace=False)
    with pytest.raises(UsageError, match=r"train\.bakbone"):
        initialize(str(tmp_path), None, ["train.bakbone=cnn"], replace=False)
    assert not Path("petalflow.yaml").exists()


def test_several_labels_get_a_threshold_of_their_own(make_flowers, tmp_path: Path) -> None:
    make_flowers(Path("photos"))
    rows = [f"photos/{name}/{number:03d}.jpg,{labels}" for number in range(8) for name, labels in
            (("daisy", "daisy"), ("rose", "rose|tulip"), ("tulip", "tulip"))]  # fmt: skip
    Path("labels.csv").write_text("\n".join(["image,label", *rows]) + "\n")
    initialize("labels.csv", None, ["train.backbone=cnn"], replace=False)
    written = yaml.safe_load(Path("petalflow.yaml").read_text())
    assert written["evaluate"] == {"min_macro_f1": 0.5}
    assert written["project"] == {"source": "labels.csv", "name": "labels", "registry": "models", "out": "runs/labels"}


def test_a_bad_batch_of_labels_is_named_before_any_run(make_flowers, capsys: pytest.CaptureFixture[str]) -> None:
    make_flowers(Path("photos"), each=60)
    for number in range(20):
        Path(f"photos/tulip/{number:03d}.jpg").rename(f"photos/rose/upload_{number:03d}.jpg")
    initialize("photos", None, ["train.backbone=cnn"], replace=False)
    (line,) = (one for one in capsys.readouterr().out.splitlines() if one.startswith("labels: "))
    assert re.search(r"\d+ of 80 rose look mislabelled: they look like tulip; \d+ of them are among the 20 named", line)
    assert "(rose/upload_" in line


def test_nothing_is_said_of_labels_that_look_right(make_flowers, capsys: pytest.CaptureFixture[str]) -> None:
    make_flowers(Path("photos"), each=60)
    initialize("photos", None, ["train.backbone=cnn"], replace=False)
    assert "labels:" not in capsys.readouterr().out


def test_a_dataset_of_tfds_is_named_not_taken_for_a_path() -> None:
    with pytest.raises(UsageError, match=r"tfds:no_such_dataset") as error:
        initialize("tfds:no_such_dataset", None, [], replace=False)
    assert "does not exist; give a folder" not in str(error.value)
