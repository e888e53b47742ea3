import hashlib

import pytest

from components.train.check import check_settings, pinned
from components.train.settings import TrainSettings
from petalflow import storage
from petalflow.errors import UsageError


def test_networks_from_scratch_need_no_weights() -> None:
    check_settings(TrainSettings(backbone="cnn", weights="nowhere.h5"))


def test_a_weights_file_is_pinned_by_path_and_hash(tmp_path, monkeypatch) -> None:
    (tmp_path / "w.h5").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    settings = pinned(TrainSettings(backbone="MobileNetV2", weights="w.h5", image_size_px=96))
    assert settings.weights == str(tmp_path / "w.h5")
    assert settings.weights_sha256 == hashlib.sha256(b"weights").hexdigest()
    check_settings(settings)
    (tmp_path / "w.h5").write_bytes(b"other weights")
    with pytest.raises(UsageError, match="weights_sha256"):
        check_settings(settings)


def test_weights_may_lie_in_a_store(backbone_weights, place) -> None:
    address = storage.join(place, backbone_weights.name)
    storage.write_bytes(address, backbone_weights.read_bytes())
    settings = pinned(TrainSettings(backbone="MobileNetV2", weights=address, image_size_px=32))
    assert settings.weights == address
    assert settings.weights_sha256 == hashlib.sha256(backbone_weights.read_bytes()).hexdigest()
    check_settings(settings, try_weights=True)
    with pytest.raises(UsageError, match="is no file"):
        check_settings(settings.model_copy(update={"weights": address + "x"}))


def test_names_of_published_weights_are_left_alone() -> None:
    settings = TrainSettings(backbone="MobileNetV2", weights="imagenet")
    assert pinned(settings) == settings


def test_weights_are_tried_when_asked(backbone_weights, tmp_path) -> None:
    settings = TrainSettings(backbone="MobileNetV2", weights=str(backbone_weights), image_size_px=32)
    check_settings(settings, try_weights=True)
    (tmp_path / "junk.h5").write_bytes(b"junk")
    with pytest.raises(UsageError, match="cannot be loaded into MobileNetV2"):
        check_settings(settings.model_copy(update={"weights": str(tmp_path / "junk.h5")}), try_weights=True)
