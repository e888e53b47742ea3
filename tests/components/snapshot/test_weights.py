import io
import logging
import socket
from pathlib import Path

import pytest
from PIL import Image

from components.snapshot import weights
from components.snapshot.weights import check_weights
from petalflow.errors import UsageError
from petalflow.source import open_source

AUTO = {"backbone": "auto", "weights": "imagenet", "image_size_px": "auto", "channels": 3}


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def check(source: Path, **train: object) -> None:
    opened = open_source(str(source))
    check_weights({**AUTO, **train}, opened.list(), opened.reader())


def test_weights_that_cannot_be_downloaded_are_reported_before_any_work(offline: None, make_flowers, tmp_path) -> None:
    source = make_flowers(tmp_path / "photos")
    with pytest.raises(UsageError, match=r"32 px.*224_no_top\.h5 cannot be reached.*train\.weights.*backbone=cnn"):
        check(source)


@pytest.mark.parametrize(
    "train", [{"backbone": "cnn"}, {"backbone": "MobileNetV2"}, {"weights": "none"}, {"channels": 1}]
)
def test_nothing_is_checked_where_train_needs_no_choice_or_no_weights(
    offline: None, make_flowers, tmp_path, train: dict[str, object]
) -> None:
    check(make_flowers(tmp_path / "photos"), **train)


def test_files_that_are_no_images_are_left_to_convert(offline: None, tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/2.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True)
        (tmp_path / "photos" / name).write_bytes(name.encode())
    check(tmp_path / "photos")
    image = io.BytesIO()
    Image.new("RGB", (200, 100)).save(image, "JPEG")
    (tmp_path / "photos/a/3.jpg").write_bytes(image.getvalue())
    with pytest.raises(UsageError, match="100 px"):
        check(tmp_path / "photos")


def test_another_container_image_may_hold_the_weights(
    offline: None, make_flowers, tmp_path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    with caplog.at_level(logging.WARNING):
        check(make_flowers(tmp_path / "photos"))
    assert "cannot be reached" in caplog.text
