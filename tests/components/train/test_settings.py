import dataclasses
import hashlib

import pytest

from components.train.settings import TrainSettings, check_dataset, check_settings, pin_weights
from petalflow import storage
from petalflow.dataset import open_dataset
from petalflow.errors import PetalflowError, UsageError


def test_networks_from_scratch_need_no_weights() -> None:
    check_settings(TrainSettings(backbone="cnn", weights="nowhere.h5"))


def test_a_weights_file_is_pinned_by_path_and_hash(tmp_path, monkeypatch) -> None:
    (tmp_path / "w.h5").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    settings = pin_weights(TrainSettings(backbone="MobileNetV2", weights="w.h5", image_size_px=96))
    assert settings.weights == str(tmp_path / "w.h5")
    assert settings.weights_sha256 == hashlib.sha256(b"weights").hexdigest()
    check_settings(settings)
    (tmp_path / "w.h5").write_bytes(b"other weights")
    with pytest.raises(UsageError, match="weights_sha256"):
        check_settings(settings)


def test_weights_may_be_remote(backbone_weights, place) -> None:
    address = storage.join(place, backbone_weights.name)
    storage.write_bytes(address, backbone_weights.read_bytes())
    settings = pin_weights(TrainSettings(backbone="MobileNetV2", weights=address, image_size_px=32))
    assert settings.weights == address
    assert settings.weights_sha256 == hashlib.sha256(backbone_weights.read_bytes()).hexdigest()
    check_settings(settings, try_weights=True)
    with pytest.raises(UsageError, match="is not a file"):
        check_settings(settings.model_copy(update={"weights": address + "x"}))


def test_names_of_published_weights_are_not_changed() -> None:
    settings = TrainSettings(backbone="MobileNetV2", weights="imagenet")
    assert pin_weights(settings) == settings


def test_weights_are_loaded_on_request(backbone_weights, tmp_path) -> None:
    settings = TrainSettings(backbone="MobileNetV2", weights=str(backbone_weights), image_size_px=32)
    check_settings(settings, try_weights=True)
    (tmp_path / "junk.h5").write_bytes(b"junk")
    with pytest.raises(UsageError, match="cannot be loaded into MobileNetV2"):
        check_settings(settings.model_copy(update={"weights": str(tmp_path / "junk.h5")}), try_weights=True)


BACKBONE = {"backbone": "MobileNetV2", "image_size_px": 96}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"backbone": "dense", "recipe": "fine_tune"},
            r"train\.recipe=fine_tune: all of dense is trained from scratch",
        ),
        (
            {**BACKBONE, "weights": "none", "recipe": "all"},
            r"train\.recipe=all: all of MobileNetV2 with train\.weights=none",
        ),
        ({"backbone": "cnn", "features": "kept"}, r"train\.features=kept: cnn has no frozen layers"),
        ({"backbone": "cnn", "augment": {"flip": "both", "variants": 3}}, r"train\.augment\.variants=3: cnn has no"),
        ({**BACKBONE, "augment": {"variants": 3}}, r"train\.augment\.variants=3: augmentation is off"),
        (
            {**BACKBONE, "augment": {"flip": "both", "variants": 3}, "features": "recomputed"},
            r"needs train\.features=kept, not recomputed",
        ),
        (
            {**BACKBONE, "augment": {"flip": "both"}, "features": "kept"},
            r"train\.features=kept, but every epoch augments",
        ),
        ({"max_epochs": 3, "warmup_epochs": 4}, r"train\.warmup_epochs=4 is more than train\.max_epochs=3"),
        (
            {**BACKBONE, "recipe": "auto", "fine_tune": {"max_epochs": 1, "warmup_epochs": 2}},
            r"train\.fine_tune\.warmup_epochs=2 is more than train\.fine_tune\.max_epochs=1",
        ),
        ({**BACKBONE, "channels": 1}, r"train\.channels=1: MobileNetV2 takes colour images"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        check_settings(TrainSettings.of(settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "tpu", "augment": {"rotation_degrees": 20}},
        {**BACKBONE, "recipe": "all", "augment": {"flip": "both", "variants": 3}},
        {**BACKBONE, "weights": "none", "augment": {"flip": "both"}},
        {**BACKBONE, "fine_tune": {"max_epochs": 1, "warmup_epochs": 2}},  # it does no fine-tuning
    ],
)
def test_settings_that_agree_are_accepted(settings) -> None:
    check_settings(TrainSettings.of(settings))


@pytest.mark.parametrize("units", [-1, "many", "", [64, 0], [1.5], True])
def test_invalid_units_are_one_clear_line(units) -> None:
    with pytest.raises(UsageError, match=r"^train\.hidden_units=.*: use a number of units") as caught:
        TrainSettings.of({"hidden_units": units})
    assert ";" not in str(caught.value)


@pytest.mark.parametrize("layers", [0, -0.2, 1.5, [1], "", True])
def test_invalid_layers_are_one_clear_line(layers) -> None:
    with pytest.raises(UsageError, match=r"^train\.fine_tune\.layers=.*: use a number of last layers") as caught:
        TrainSettings.of({"fine_tune": {"layers": layers}})
    assert ";" not in str(caught.value)


@pytest.mark.parametrize("settings", [{"hidden_units": [256, 64]}, {"fine_tune": {"layers": 1.0}}])
def test_settings_survive_a_pipeline_unchanged(settings) -> None:
    assert TrainSettings.from_json(TrainSettings.of(settings).to_json()) == TrainSettings.of(settings)


def test_a_dataset_that_cannot_be_trained_on_is_refused(tiny_dataset) -> None:
    dataset, settings = open_dataset(tiny_dataset), TrainSettings()
    check_dataset(dataset, settings)
    size = dataset.size("train")
    for bad, setting, message in (
        (dataclasses.replace(dataset, sizes={"train": size}), settings, "has no validation images"),
        (dataclasses.replace(dataset, sizes={"validation": 9}), settings, "has no train images"),
        (dataclasses.replace(dataset, counts={"train": {"red": 9}}), settings, "no training images of blue, green"),
        (dataset, TrainSettings(batch_size=size + 1), f"more than the {size} training images"),
    ):
        with pytest.raises(PetalflowError, match=message) as caught:
            check_dataset(bad, setting)
        assert "\n" not in str(caught.value)


def test_wrong_settings_are_reported_before_tensorflow_is_imported(run_python) -> None:
    code = """
        import sys
        from components.train.__main__ import app
        from petalflow import commandline
        try:
            commandline.main(app, sys.argv[1:])
        finally:
            print(sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras", "tensorflow_datasets"}))
    """
    where = ("--dataset", "nowhere", "--out", "nothing")
    for *arguments, message in (
        ("--help", "Train a classifier"),
        (*where, "--set", "backbone=MobilNetV2", "did you mean MobileNetV2"),
        (*where, "--set", "augment.variants=3", "train.augment.variants=3"),
        (*where, "--set", "warm_start=true", "--warm-start REGISTRY/NAME"),
    ):
        ended = run_python(code, *arguments)
        assert ended.stdout.endswith("[]\n"), ended.stderr
        assert message in ended.stdout + ended.stderr
        assert ended.returncode == (0 if arguments == ["--help"] else 2)
