import socket
from pathlib import Path

import pytest

from petalflow.model.published import downloads, weights_url, why_unavailable


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends every request to a port at which nothing answers, and starts without downloads."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    downloads().mkdir()


def test_weights_that_cannot_be_downloaded_are_named(offline: None) -> None:
    why = why_unavailable("MobileNetV2", 160)
    assert "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_160_no_top.h5" in why
    assert str(downloads()) in why
    assert "refused" in why


@pytest.mark.parametrize(
    ("backbone", "file"),
    [
        ("MobileNetV2", weights_url("MobileNetV2", 224).rpartition("/")[2]),
        ("ResNet50", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("EfficientNetV2B0", "efficientnetv2-b0_notop.h5"),
    ],
)
def test_downloaded_weights_need_no_network(offline: None, backbone: str, file: str) -> None:
    assert why_unavailable(backbone, 224)
    (downloads() / file).write_bytes(b"weights")
    assert why_unavailable(backbone, 224) == ""


@pytest.mark.parametrize(
    ("backbone", "file"),
    [
        ("MobileNetV2", weights_url("MobileNetV2", 96).rpartition("/")[2]),  # of another size
        ("ResNet50", "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("ResNet50", "resnet50_weights_tf_dim_ordering_tf_kernels.h5"),  # with its top
    ],
)
def test_the_weights_of_another_network_do_not_count(offline: None, backbone: str, file: str) -> None:
    (downloads() / file).write_bytes(b"weights")
    assert why_unavailable(backbone, 224)


def test_keras_publishes_the_file_of_mobilenet_under_this_name(offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A canary: Keras is asked for each size, and the address that it would download from is compared with ours."""
    import keras
    from keras.src.utils import file_utils

    asked = []

    def note(name: str, origin: str, **_: object) -> str:
        asked.append(origin)
        raise FileNotFoundError

    monkeypatch.setattr(file_utils, "get_file", note)
    for size in (96, 128, 160, 192, 224, 100):
        with pytest.raises(FileNotFoundError):
            keras.applications.MobileNetV2(include_top=False, input_shape=(size, size, 3))
        assert asked[-1] == weights_url("MobileNetV2", size)
