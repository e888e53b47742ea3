import json
import logging
from pathlib import Path

import keras
import numpy as np
import pytest

from components.train.checkpoints import open_checkpoints
from components.train.settings import TrainSettings, pinned
from components.train.state import TrainingState, origin_of
from components.train.train import train
from components.train.transfer_learning import (
    ALIKE,
    FEW_IMAGES_A_CLASS,
    choose,
    cut_below,
    first_trained,
    guess_accuracy,
    still,
    thaw,
)
from petalflow.dataset import open_dataset
from petalflow.errors import UsageError
from petalflow.model.files import load_model
from petalflow.model.scoring import score_model

FEW, MANY = FEW_IMAGES_A_CLASS - 1, FEW_IMAGES_A_CLASS
GUESS = 0.2
LIKE, UNLIKE = GUESS + (1 - GUESS) * (ALIKE + 0.01), GUESS + (1 - GUESS) * (ALIKE - 0.01)


@pytest.mark.parametrize(
    ("images_per_class", "probe", "recipe"),
    [
        (FEW, LIKE, "head"),
        (FEW, UNLIKE, "fine_tune"),
        (MANY, LIKE, "fine_tune"),
        (MANY, UNLIKE, "all"),
    ],
)
def test_the_table(images_per_class: float, probe: float, recipe: str) -> None:
    assert choose(images_per_class, probe, GUESS).recipe == recipe


def test_likeness_is_counted_from_guessing() -> None:
    """A probe of 0.9 is much where guessing gives 0.1, and nothing where it gives 0.9."""
    assert choose(FEW, 0.9, 0.1).recipe == "head"
    assert choose(FEW, 0.9, 0.9).recipe == "fine_tune"
    assert "0.00 of the way" in choose(FEW, 0.4, 0.9).why, "worse than guessing is no likeness, not a negative one"
    assert choose(FEW, 1.0, 1.0).recipe == "fine_tune", "where there is one class, nothing is known of likeness"


def test_the_reason_holds_every_number_it_is_made_of() -> None:
    why = choose(24.4, 0.75, 0.25).why
    assert "24 training images a class (few" in why
    assert "0.750" in why
    assert "0.250" in why
    assert "0.67 of the way (unlike ImageNet" in why


def test_guessing_is_to_know_how_common_the_classes_are() -> None:
    assert guess_accuracy([10, 30, 60], 100, multi_label=False) == pytest.approx(0.6)
    # Of labels that are rare, no is right nine times in ten.
    assert guess_accuracy([10, 10, 90], 100, multi_label=True) == pytest.approx(0.9)


def test_what_guessing_reaches() -> None:
    assert guess_accuracy([30, 10], 40, multi_label=False) == 0.75
    assert guess_accuracy([30, 10], 40, multi_label=True) == 0.75, "yes to the first, no to the second"
    assert guess_accuracy([40, 20, 0], 40, multi_label=True) == pytest.approx(2.5 / 3)


def backbone_of(name: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(32, 32, 3))


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    return backbone_of("MobileNetV2")


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "EfficientNetV2B0", "DenseNet121", "NASNetMobile"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_the_two_parts_give_what_the_whole_gives(name: str, share: float) -> None:
    backbone = backbone_of(name)
    first = first_trained(backbone, share)
    cut = cut_below(backbone, first)
    if cut is None:  # every map above is read together with one below
        assert name == "NASNetMobile"
        return
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    expected = np.asarray(backbone(images, training=False))
    in_parts = np.asarray(cut.above(cut.below(images, training=False), training=False))
    np.testing.assert_allclose(in_parts, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    trained = {id(layer) for layer in backbone.layers[first:]}
    assert trained <= {id(layer) for layer in cut.above.layers}, "all that is trained is above"
    assert not trained & {id(layer) for layer in cut.below.layers}


def test_the_cut_is_the_nearest_where_a_single_map_passes(mobilenet) -> None:
    names = [layer.name for layer in mobilenet.layers]
    for first, expected in (
        ("block_13_expand", "block_12_add"),
        ("block_12_expand", "block_11_add"),
        ("block_12_depthwise", "block_11_add"),  # the block's input goes past it
        ("block_12_add", "block_11_add"),
        ("block_13_depthwise", "block_13_pad"),  # that of this block does not
        ("Conv_1", "block_16_project_BN"),
    ):
        assert cut_below(mobilenet, names.index(first)).layer == expected
    assert cut_below(mobilenet, 0) is None
    assert cut_below(mobilenet, 1) is None, "the image itself is no map to be kept"


def test_the_last_layers_are_given_by_number_by_share_or_by_name(mobilenet) -> None:
    total = len(mobilenet.layers)
    assert first_trained(mobilenet, 30) == total - 30
    assert first_trained(mobilenet, 1) == total - 1
    assert first_trained(mobilenet, 0.3) == total - round(0.3 * total)
    assert first_trained(mobilenet, 1.0) == 0
    assert mobilenet.layers[first_trained(mobilenet, "block_13_expand")].name == "block_13_expand"


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (0, "has 154 layers; give 1 to 154, or a share"),
        (155, "has 154 layers"),
        (0.001, "has 154 layers"),
        (2.5, "has 154 layers"),
        (-0.5, "has 154 layers"),
        ("block_13_expnd", "no such layer; did you mean block_13_expand"),
    ],
)
def test_layers_that_are_not_there_are_refused(mobilenet, layers: int | float | str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        first_trained(mobilenet, layers)


def test_normalizations_are_never_trained() -> None:
    backbone = backbone_of("MobileNetV2")
    first = first_trained(backbone, "block_13_expand")
    thaw(backbone, first)
    for index, layer in enumerate(backbone.layers):
        wanted = index >= first and not isinstance(layer, keras.layers.BatchNormalization)
        assert bool(layer.trainable_variables) == (wanted and bool(layer.variables)), layer.name


def test_a_stilled_backbone_gives_the_same_in_training_as_in_inference() -> None:
    backbone = backbone_of("EfficientNetV2B0")
    backbone.trainable = False
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    expected = np.asarray(backbone(images, training=False))
    assert not np.allclose(backbone(images, training=True), expected), "or there is nothing to be stilled"
    still(backbone)
    np.testing.assert_array_equal(backbone(images, training=True), expected)


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
    with open_checkpoints(str(state)) as checkpoints:
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
