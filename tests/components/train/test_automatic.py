import io
from pathlib import Path

import pytest
from PIL import Image

from components.train.automatic import settle_network
from components.train.settings import TrainSettings, check_settings
from components.train.train import train
from petalflow.dataset import open_dataset, typical_short_side_px
from petalflow.errors import UsageError
from petalflow.model.files import load_model


def test_the_network_is_chosen_by_the_images_and_the_reason_is_kept(tiny_dataset: Path, tmp_path: Path) -> None:
    dataset = open_dataset(tiny_dataset)
    side_px = typical_short_side_px(dataset)
    sizes = {Image.open(io.BytesIO(record.image)).size for record in dataset.records("train")}
    assert {min(size) for size in sizes} == {side_px}
    settings = TrainSettings(max_epochs=1, channels=1)
    assert (settings.backbone, settings.image_size_px) == ("auto", "auto")
    info = train(tiny_dataset, tmp_path / "model", settings)
    assert info["settings"]["backbone"] == "cnn"
    assert info["settings"]["image_size_px"] == load_model(tmp_path / "model").image_size_px == max(side_px, 16)
    assert info["notes"][0].startswith(f"chosen: cnn at {max(side_px, 16)} px (pretrained backbones need colour")


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({}, ("MobileNetV2", 224)),
        ({"image_size_px": 96}, ("MobileNetV2", 96)),
        ({"image_size_px": 16}, ("cnn", 16)),
        ({"weights": "none"}, ("cnn", 20)),
        ({"backbone": "dense"}, ("dense", 20)),
        ({"backbone": "InceptionV3"}, ("InceptionV3", 299)),
    ],
)
def test_what_is_given_stays(tiny_dataset: Path, given: dict[str, object], chosen: tuple[str, int]) -> None:
    dataset = open_dataset(tiny_dataset)
    settings, why = settle_network(TrainSettings(**given), dataset)
    assert (settings.backbone, settings.size_px) == chosen
    assert chosen[0] in why


def test_nothing_is_said_where_nothing_was_chosen(tiny_dataset: Path) -> None:
    settings = TrainSettings(backbone="cnn", image_size_px=32)
    assert settle_network(settings, open_dataset(tiny_dataset)) == (settings, "")


def test_a_weights_file_tells_its_backbone(tiny_dataset: Path, tmp_path: Path) -> None:
    file = tmp_path / "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"
    file.write_bytes(b"weights")
    settings, _ = settle_network(TrainSettings(weights=str(file)), open_dataset(tiny_dataset))
    assert settings.backbone == "DenseNet121"
    (tmp_path / "mine.h5").write_bytes(b"weights")
    with pytest.raises(UsageError, match=r"mine\.h5'.* set train\.backbone"):
        check_settings(TrainSettings(weights=str(tmp_path / "mine.h5")))


def test_a_recipe_that_does_not_suit_the_chosen_network_is_an_error(tiny_dataset: Path, tmp_path: Path) -> None:
    settings = TrainSettings(channels=1, recipe="fine_tune")
    check_settings(settings)  # the images are not known yet
    with pytest.raises(UsageError, match="all of cnn is trained from scratch"):
        train(tiny_dataset, tmp_path / "model", settings)
