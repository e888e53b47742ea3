import functools
import json
import logging
from pathlib import Path

import keras
import numpy as np
import pytest

from components.train.checkpoints import open_checkpoints
from components.train.settings import TrainSettings, pin_weights
from components.train.state import TrainingState, describe_origin
from components.train.train import train
from components.train.transfer_learning import (
    FEW_IMAGES_PER_CLASS,
    SIMILAR,
    choose_recipe,
    disable_dropout,
    find_cut,
    first_trainable_layer,
    majority_accuracy,
    unfreeze,
)
from petalflow.dataset import open_dataset
from petalflow.errors import UsageError
from petalflow.model.files import load_model
from petalflow.model.scoring import score_model

FEW, MANY = FEW_IMAGES_PER_CLASS - 1, FEW_IMAGES_PER_CLASS
MAJORITY = 0.2
SIMILAR_PROBE, OTHER_PROBE = MAJORITY + (1 - MAJORITY) * (SIMILAR + 0.01), MAJORITY + (1 - MAJORITY) * (SIMILAR - 0.01)


@pytest.mark.parametrize(
    ("images_per_class", "probe", "recipe"),
    [
        (FEW, SIMILAR_PROBE, "head"),
        (FEW, OTHER_PROBE, "fine_tune"),
        (MANY, SIMILAR_PROBE, "fine_tune"),
        (MANY, OTHER_PROBE, "all"),
    ],
)
def test_chooses_the_recipe_by_amount_and_similarity(images_per_class: float, probe: float, recipe: str) -> None:
    assert choose_recipe(images_per_class, probe, MAJORITY).recipe == recipe


def test_similarity_is_measured_from_the_majority_accuracy() -> None:
    """A probe accuracy of 0.9 is a lot if the majority accuracy is 0.1, and nothing if it is 0.9."""
    assert choose_recipe(FEW, 0.9, 0.1).recipe == "head"
    assert choose_recipe(FEW, 0.9, 0.9).recipe == "fine_tune"
    assert "similarity to ImageNet 0.00" in choose_recipe(FEW, 0.4, 0.9).why, (
        "worse than the majority is a similarity of 0, not a negative one"
    )
    assert choose_recipe(FEW, 1.0, 1.0).recipe == "fine_tune", "with a single class, similarity is unknown"


def test_the_reason_states_every_number_behind_the_choice() -> None:
    why = choose_recipe(24.4, 0.75, 0.25).why
    assert "24 training images per class (few" in why
    assert "0.750" in why
    assert "0.250" in why
    assert "similarity to ImageNet 0.67 (low" in why


def test_the_majority_accuracy_is_that_of_the_most_common_prediction() -> None:
    assert majority_accuracy([10, 30, 60], 100, multi_label=False) == pytest.approx(0.6)
    # Predicting that an image lacks a rare label is correct nine times in ten.
    assert majority_accuracy([10, 10, 90], 100, multi_label=True) == pytest.approx(0.9)


def test_a_constant_prediction_reaches_the_majority_accuracy() -> None:
    assert majority_accuracy([30, 10], 40, multi_label=False) == 0.75
    assert majority_accuracy([30, 10], 40, multi_label=True) == 0.75, "yes to the first, no to the second"
    assert majority_accuracy([40, 20, 0], 40, multi_label=True) == pytest.approx(2.5 / 3)


def make_backbone(name: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(32, 32, 3))


# For tests that do not change it.
shared_backbone = functools.cache(make_backbone)


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    return make_backbone("MobileNetV2")


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "EfficientNetV2B0", "DenseNet121", "NASNetMobile"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_both_parts_of_a_cut_backbone_compute_what_the_whole_computes(name: str, share: float) -> None:
    backbone = shared_backbone(name)
    first = first_trainable_layer(backbone, share)
    cut = find_cut(backbone, first)
    if cut is None:  # every later feature map is read together with an earlier one
        assert name == "NASNetMobile"
        return
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    expected = np.asarray(backbone(images, training=False))
    in_parts = np.asarray(cut.above(cut.below(images, training=False), training=False))
    np.testing.assert_allclose(in_parts, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    trained = {id(layer) for layer in backbone.layers[first:]}
    assert trained <= {id(layer) for layer in cut.above.layers}, "all trained layers are above the cut"
    assert not trained & {id(layer) for layer in cut.below.layers}


def test_the_cut_is_the_nearest_point_that_a_single_map_crosses(mobilenet) -> None:
    names = [layer.name for layer in mobilenet.layers]
    for first, expected in (
        ("block_13_expand", "block_12_add"),
        ("block_12_expand", "block_11_add"),
        ("block_12_depthwise", "block_11_add"),  # the block's input bypasses it
        ("block_12_add", "block_11_add"),
        ("block_13_depthwise", "block_13_pad"),  # this block's input does not
        ("Conv_1", "block_16_project_BN"),
    ):
        assert find_cut(mobilenet, names.index(first)).layer == expected
    assert find_cut(mobilenet, 0) is None
    assert find_cut(mobilenet, 1) is None, "the image itself is not worth keeping"


def test_the_last_layers_are_chosen_by_number_share_or_name(mobilenet) -> None:
    total = len(mobilenet.layers)
    assert first_trainable_layer(mobilenet, 30) == total - 30
    assert first_trainable_layer(mobilenet, 1) == total - 1
    assert first_trainable_layer(mobilenet, 0.3) == total - round(0.3 * total)
    assert first_trainable_layer(mobilenet, 1.0) == 0
    assert mobilenet.layers[first_trainable_layer(mobilenet, "block_13_expand")].name == "block_13_expand"


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (0, "has 154 layers; use 1 to 154, or a share"),
        (155, "has 154 layers"),
        (0.001, "has 154 layers"),
        (2.5, "has 154 layers"),
        (-0.5, "has 154 layers"),
        ("block_13_expnd", "no such layer; did you mean block_13_expand"),
    ],
)
def test_missing_layers_are_refused(mobilenet, layers: int | float | str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        first_trainable_layer(mobilenet, layers)


def test_normalizations_are_never_trained() -> None:
    backbone = make_backbone("MobileNetV2")
    first = first_trainable_layer(backbone, "block_13_expand")
    unfreeze(backbone, first)
    for index, layer in enumerate(backbone.layers):
        expected = index >= first and not isinstance(layer, keras.layers.BatchNormalization)
        assert bool(layer.trainable_variables) == (expected and bool(layer.variables)), layer.name


def test_without_dropout_a_backbone_is_the_same_in_training_and_inference() -> None:
    backbone = make_backbone("EfficientNetV2B0")
    backbone.trainable = False
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    expected = np.asarray(backbone(images, training=False))
    assert not np.allclose(backbone(images, training=True), expected), "otherwise the test shows nothing"
    disable_dropout(backbone)
    np.testing.assert_array_equal(backbone(images, training=True), expected)


FIRST = "block_2_depthwise"


@pytest.fixture
def settings(small_mobilenet: None, small_weights: str) -> TrainSettings:
    return TrainSettings.model_validate(
        {
            "backbone": "MobileNetV2",
            "weights": small_weights,
            "image_size_px": 32,
            "max_epochs": 2,
            "precision": "float32",
            "fine_tune": {"layers": FIRST, "learning_rate": 1e-3, "max_epochs": 2},
        }
    )


# With a higher rate, a network of random weights diverges by chance, differently on each machine.
SLOWLY = {"layers": FIRST, "learning_rate": 1e-4, "max_epochs": 2}


def changed(settings: TrainSettings, **values: object) -> TrainSettings:
    return TrainSettings.model_validate({**settings.model_dump(), **values})


def backbone_in(folder) -> keras.Model:
    layers = load_model(folder).keras_model.layers
    (backbone,) = [layer for layer in layers if isinstance(layer, keras.Model) and layer.name.startswith("mobilenet")]
    return backbone


def scores(folder, dataset) -> np.ndarray:
    return score_model(load_model(folder), open_dataset(dataset), "validation")


def test_fine_tuning_changes_only_the_chosen_layers(tiny_dataset, settings, tmp_path) -> None:
    train(tiny_dataset, tmp_path / "model", changed(settings, recipe="fine_tune"))
    history = json.loads((tmp_path / "model" / "history.json").read_text())
    assert history["phase"] == ["head"] * 2 + ["fine-tuning"] * 2
    assert history["learning_rate"][2] == pytest.approx(5e-4, rel=1e-5)  # halfway up
    assert history["learning_rate"][3] == pytest.approx(5e-4, rel=1e-5)  # halfway down the cosine
    fresh = keras.applications.MobileNetV2(include_top=False, weights=settings.weights, input_shape=(32, 32, 3))
    tuned = {
        layer.name
        for layer, before in zip(backbone_in(tmp_path / "model").layers, fresh.layers, strict=True)
        if any((one != other).any() for one, other in zip(layer.get_weights(), before.get_weights(), strict=True))
    }
    assert tuned == {FIRST, "block_2_project"}, "no others, and no normalization"


def test_a_missing_layer_is_reported_before_the_head_is_trained(tiny_dataset, settings, tmp_path) -> None:
    wrong = changed(settings, recipe="fine_tune", fine_tune={"layers": "block_17_expand"})
    with pytest.raises(UsageError, match=r"no such layer; did you mean"):
        train(tiny_dataset, tmp_path / "model", wrong, str(tmp_path / "state"))
    assert not list((tmp_path / "state").glob("*"))


def test_changed_weights_of_the_same_name_are_another_training(tiny_dataset, settings, small_weights, tmp_path) -> None:
    file = tmp_path / "mine.weights.h5"
    file.write_bytes(Path(small_weights).read_bytes())
    mine, state = changed(settings, weights=str(file)), tmp_path / "state"
    origin = describe_origin(open_dataset(tiny_dataset), pin_weights(mine), "")
    with open_checkpoints(str(state)) as checkpoints:
        checkpoints.save(TrainingState(origin=origin))
    backbone = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    backbone.save_weights(file, overwrite=True)
    with pytest.raises(UsageError, match=r"its train.weights_sha256 is \w+, now \w+"):
        train(tiny_dataset, tmp_path / "model", mine, str(state))


def test_kept_and_recomputed_features_train_the_same_network(tiny_dataset, settings, tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    ways = {
        "memory": {},
        "disk": {"cache_mib": 0},
        "every epoch": {"features": "recomputed"},
    }
    for name, way in ways.items():
        caplog.clear()
        info = train(tiny_dataset, tmp_path / name, changed(settings, recipe="fine_tune", fine_tune=SLOWLY, **way))
        assert info["best_epoch"] > 2, "fine-tuning improved it"
        assert caplog.text.count("features are kept in memory") == (2 if name == "memory" else 0)
        assert caplog.text.count("features are kept on disk") == (2 if name == "disk" else 0)
    memory, disk, every_epoch = (scores(tmp_path / name, tiny_dataset) for name in ways)
    np.testing.assert_array_equal(memory, disk)
    np.testing.assert_allclose(memory, every_epoch, atol=2e-3)


def test_features_that_exceed_all_budgets_are_computed_every_epoch(tiny_dataset, settings, tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    none = changed(settings, cache_mib=0, cache_disk_mib=0, max_epochs=1)
    info = train(tiny_dataset, tmp_path / "model", none)
    assert info["epochs"] == 1
    assert "its features are computed in every epoch" in caplog.text


@pytest.mark.parametrize("pooling", ["max", "flatten"])
def test_all_layers_can_be_trained_with_any_pooling(tiny_dataset, settings, tmp_path, pooling: str) -> None:
    wholly = changed(settings, recipe="all", fine_tune=SLOWLY, pooling=pooling, max_epochs=1)
    assert train(tiny_dataset, tmp_path / "model", wholly)["best_epoch"] > 1, "fine-tuning improved it"
    fresh = keras.applications.MobileNetV2(include_top=False, weights=settings.weights, input_shape=(32, 32, 3))
    for layer, before in zip(backbone_in(tmp_path / "model").layers, fresh.layers, strict=True):
        same = all((one == other).all() for one, other in zip(layer.get_weights(), before.get_weights(), strict=True))
        assert same == (isinstance(layer, keras.layers.BatchNormalization) or not layer.weights), layer.name
    assert np.isfinite(scores(tmp_path / "model", tiny_dataset)).all()


def test_without_weights_normalizations_are_trained_too(tiny_dataset, settings, tmp_path) -> None:
    train(tiny_dataset, tmp_path / "model", changed(settings, weights="none", max_epochs=1))
    for layer in backbone_in(tmp_path / "model").layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            _, _, mean, variance = layer.get_weights()
            assert mean.any(), layer.name
            assert (variance != 1).any(), layer.name
