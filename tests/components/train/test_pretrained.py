import json
import logging
from pathlib import Path

import keras
import numpy as np
import pytest

from components.train import checkpoint
from components.train.check import pinned
from components.train.origin import origin_of
from components.train.settings import TrainSettings
from components.train.state import TrainingState
from components.train.train import train
from petalflow.dataset import open_dataset
from petalflow.errors import UsageError
from petalflow.model.files import load_model
from petalflow.model.scoring import score_model

FIRST = "block_16_project"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    """Random weights, but with statistics of images, without which hardly anything comes out at the end."""
    keras.utils.set_random_seed(0)
    backbone = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    colours = np.random.default_rng(0).uniform(-1, 1, (64, 1, 1, 3))
    images = np.float32(colours + np.random.default_rng(1).normal(0, 0.2, (64, 32, 32, 3)))
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    backbone(images, training=True)
    path = tmp_path_factory.mktemp("weights") / "shaken.weights.h5"
    backbone.save_weights(path)
    return str(path)


@pytest.fixture
def settings(weights: str) -> TrainSettings:
    return TrainSettings.model_validate(
        {
            "backbone": "MobileNetV2",
            "weights": weights,
            "image_size_px": 32,
            "max_epochs": 2,
            "precision": "float32",
            "fine_tune": {"layers": FIRST, "learning_rate": 1e-3, "max_epochs": 2},
        }
    )


# Faster, a network of random weights is thrown about, and what comes of it is luck, another one on each machine.
SLOWLY = {"layers": FIRST, "learning_rate": 1e-4, "max_epochs": 2}


def changed(settings: TrainSettings, **values: object) -> TrainSettings:
    return TrainSettings.model_validate({**settings.model_dump(), **values})


def backbone_in(folder) -> keras.Model:
    layers = load_model(folder).keras_model.layers
    (backbone,) = [layer for layer in layers if isinstance(layer, keras.Model) and layer.name.startswith("mobilenet")]
    return backbone


def scores(folder, dataset) -> np.ndarray:
    return score_model(load_model(folder), open_dataset(dataset), "validation")


def test_fine_tuning_changes_the_chosen_layers_alone(tiny_dataset, settings, tmp_path) -> None:
    train(tiny_dataset, tmp_path / "model", changed(settings, recipe="fine_tune"))
    history = json.loads((tmp_path / "model" / "history.json").read_text())
    assert history["phase"] == ["head"] * 2 + ["fine-tuning"] * 2
    assert history["learning_rate"][2] == pytest.approx(5e-4, rel=1e-5)  # half way up
    assert history["learning_rate"][3] == pytest.approx(5e-4, rel=1e-5)  # half way down the cosine
    fresh = keras.applications.MobileNetV2(include_top=False, weights=settings.weights, input_shape=(32, 32, 3))
    tuned = {
        layer.name
        for layer, before in zip(backbone_in(tmp_path / "model").layers, fresh.layers, strict=True)
        if any((one != other).any() for one, other in zip(layer.get_weights(), before.get_weights(), strict=True))
    }
    assert tuned == {FIRST, "Conv_1"}, "no other, and no normalization"


def test_a_layer_that_is_not_there_is_told_before_the_head_is_trained(tiny_dataset, settings, tmp_path) -> None:
    wrong = changed(settings, recipe="fine_tune", fine_tune={"layers": "block_17_expand"})
    with pytest.raises(UsageError, match=r"no such layer; did you mean"):
        train(tiny_dataset, tmp_path / "model", wrong, str(tmp_path / "state"))
    assert not list((tmp_path / "state").glob("*"))


def test_weights_that_changed_under_their_name_are_another_training(tiny_dataset, settings, weights, tmp_path) -> None:
    file = tmp_path / "mine.weights.h5"
    file.write_bytes(Path(weights).read_bytes())
    mine, state = changed(settings, weights=str(file)), tmp_path / "state"
    origin = origin_of(open_dataset(tiny_dataset), pinned(mine), "")
    with checkpoint.opened(str(state)) as checkpoints:
        checkpoints.save(TrainingState(origin=origin))
    backbone = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    backbone.save_weights(file, overwrite=True)
    with pytest.raises(UsageError, match=r"its train.weights_sha256 is \w+, and now \w+"):
        train(tiny_dataset, tmp_path / "model", mine, str(state))


def test_what_is_kept_and_what_is_computed_anew_give_the_same(tiny_dataset, settings, tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    ways = {
        "memory": {},
        "disk": {"cache_mib": 0},
        "anew": {"features": "anew"},
    }
    for name, way in ways.items():
        caplog.clear()
        info = train(tiny_dataset, tmp_path / name, changed(settings, recipe="fine_tune", fine_tune=SLOWLY, **way))
        assert info["best_epoch"] > 2, "fine-tuning made it better"
        assert caplog.text.count("kept in memory") == (2 if name == "memory" else 0)
        assert caplog.text.count("kept on disk") == (2 if name == "disk" else 0)
    memory, disk, anew = (scores(tmp_path / name, tiny_dataset) for name in ways)
    np.testing.assert_array_equal(memory, disk)
    np.testing.assert_allclose(memory, anew, atol=2e-3)


def test_features_that_fit_nowhere_are_computed_enabled_copy(tiny_dataset, settings, tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    none = changed(settings, cache_mib=0, cache_disk_mib=0, max_epochs=1)
    info = train(tiny_dataset, tmp_path / "model", none)
    assert info["epochs"] == 1
    assert "through which every image goes each epoch" in caplog.text


@pytest.mark.parametrize("pooling", ["max", "flatten"])
def test_all_layers_can_be_trained_whatever_the_pooling(tiny_dataset, settings, tmp_path, pooling: str) -> None:
    wholly = changed(settings, recipe="all", fine_tune=SLOWLY, pooling=pooling, max_epochs=1)
    assert train(tiny_dataset, tmp_path / "model", wholly)["best_epoch"] > 1, "fine-tuning made it better"
    fresh = keras.applications.MobileNetV2(include_top=False, weights=settings.weights, input_shape=(32, 32, 3))
    for layer, before in zip(backbone_in(tmp_path / "model").layers, fresh.layers, strict=True):
        same = all((one == other).all() for one, other in zip(layer.get_weights(), before.get_weights(), strict=True))
        assert same == (isinstance(layer, keras.layers.BatchNormalization) or not layer.weights), layer.name
    assert np.isfinite(scores(tmp_path / "model", tiny_dataset)).all()


def test_without_weights_normalizations_learn_too(tiny_dataset, settings, tmp_path) -> None:
    train(tiny_dataset, tmp_path / "model", changed(settings, weights="none", max_epochs=1))
    for layer in backbone_in(tmp_path / "model").layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            _, _, mean, variance = layer.get_weights()
            assert mean.any(), layer.name
            assert (variance != 1).any(), layer.name
