import dataclasses
import shutil

import keras
import numpy as np
import pytest

from components.train import networks
from components.train.settings import TrainSettings
from components.train.train import train
from components.train.warm_start import WarmStart, open_warm_start, transfer_weights
from petalflow.dataset import open_dataset
from petalflow.errors import PetalflowError, UsageError
from petalflow.model.files import load_model
from petalflow.model.scoring import score_model
from petalflow.model.task import Task, class_scores

BINARY, MULTI_CLASS, MULTI_LABEL = Task
PLAIN = {"backbone": "dense", "image_size_px": 8, "hidden_units": 6}
IMAGES = np.random.default_rng(0).uniform(0, 255, (5, 8, 8, 3)).astype(np.float32)


def network(task: Task, classes: int, **settings: object) -> keras.Model:
    model = networks.build_from_scratch(TrainSettings.of(PLAIN | settings), task, classes)
    generator = np.random.default_rng(classes)
    model.set_weights([value + generator.normal(0, 0.1, value.shape) for value in model.get_weights()])  # biases, too
    return model


def make_warm_start(task: Task, names: str, **settings: object) -> WarmStart:
    return WarmStart("flowers/3", network(task, len(names), **settings), tuple(names), task)


def scores(model: keras.Model, task: Task) -> np.ndarray:
    return class_scores(np.asarray(model(IMAGES)), task)


@pytest.mark.parametrize("task", [MULTI_CLASS, MULTI_LABEL])
def test_each_class_keeps_its_scores_in_any_order(task) -> None:
    before, model = make_warm_start(task, "abc"), network(task, 3)
    assert transfer_weights(before, model, task, ("c", "a", "b")) == "warm start from flowers/3: 3 classes kept"
    np.testing.assert_allclose(scores(model, task), scores(before.model, task)[:, [2, 0, 1]], rtol=1e-5)


def test_a_new_class_starts_at_random_and_a_removed_one_keeps_the_odds_of_the_others() -> None:
    task = MULTI_CLASS
    before, model = make_warm_start(task, "abc"), network(task, 4)
    random = model.layers[-1].get_weights()[0][:, 1]
    note = transfer_weights(before, model, task, ("a", "d", "e", "c"))
    assert note == "warm start from flowers/3: 2 classes kept, new: d, e; gone: b"
    np.testing.assert_array_equal(model.layers[-1].get_weights()[0][:, 1], random)
    old, new = scores(before.model, task), scores(model, task)
    np.testing.assert_allclose(new[:, 0] / new[:, 3], old[:, 0] / old[:, 2], rtol=1e-4)


@pytest.mark.parametrize(
    ("then", "now"), [((BINARY, "ab"), (MULTI_CLASS, "bxa")), ((MULTI_CLASS, "axb"), (BINARY, "ba"))]
)
def test_the_odds_stay_between_two_classes_and_many(then, now) -> None:
    before, (task, names) = make_warm_start(*then), now
    model = network(task, len(names))
    transfer_weights(before, model, task, tuple(names))
    old, new = scores(before.model, before.task), scores(model, task)
    was = old[:, then[1].index("a")] / old[:, then[1].index("b")]
    np.testing.assert_allclose(new[:, names.index("a")] / new[:, names.index("b")], was, rtol=1e-4)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"hidden_units": 7}, r"train\.hidden_units was \[6\], not \[7\]"),
        (
            {"image_size_px": 16},
            "its head takes 192 features of an image of 8 px, not 768 features",
        ),
        ({"channels": 1}, r"train\.channels was 3, not 1"),
        ({"backbone": "cnn"}, r"train\.backbone was dense, not cnn"),
    ],
)
def test_a_misfit_is_named_and_nothing_is_changed(other, message) -> None:
    model = network(MULTI_CLASS, 3, **other)
    weights = model.get_weights()
    with pytest.raises(UsageError, match=message) as caught:
        transfer_weights(make_warm_start(MULTI_CLASS, "abc"), model, MULTI_CLASS, tuple("abc"))
    assert "\n" not in str(caught.value)
    assert all(np.array_equal(one, other) for one, other in zip(model.get_weights(), weights, strict=True))


def test_single_and_multiple_labels_do_not_fit() -> None:
    with pytest.raises(UsageError, match="its task is multi_label, the dataset's multi_class"):
        transfer_weights(make_warm_start(MULTI_LABEL, "abc"), network(MULTI_CLASS, 3), MULTI_CLASS, tuple("abc"))


def test_all_weights_of_a_fine_tuned_backbone_are_transferred() -> None:
    def build() -> keras.Model:
        backbone = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
        backbone.trainable = False
        features = networks.feature_model(backbone, "MobileNetV2", 32, "avg")
        inputs = keras.Input(features.output_shape[1:])
        head = keras.Model(inputs, networks.build_head(inputs, [8], 0.2, MULTI_CLASS, 3), name="head")
        return networks.join(features, head, "MobileNetV2")

    tuned, model = build(), build()
    tuned.trainable = True  # as after fine-tuning
    transfer_weights(WarmStart("flowers/3", tuned, tuple("abc"), MULTI_CLASS), model, MULTI_CLASS, tuple("abc"))
    assert all(np.array_equal(one, two) for one, two in zip(model.get_weights(), tuned.get_weights(), strict=True))


STILL = {"backbone": "dense", "image_size_px": 16, "max_epochs": 1, "learning_rate": 1e-12, "warm_start": True}


def test_a_training_starts_with_what_the_release_learned(tiny_dataset, tiny_registry, tmp_path, caplog) -> None:
    release = str(tiny_registry / "tiny" / "1")
    caplog.set_level("INFO")
    info = train(tiny_dataset, tmp_path / "model", TrainSettings.of(STILL), warm_start_uri=release)
    assert "warm start from tiny/1: 3 classes kept" in caplog.messages
    assert "warm start from tiny/1: 3 classes kept" in info["notes"]
    assert info["warm_started_from"] == release
    before, dataset = open_warm_start(release), open_dataset(tiny_dataset)
    model = load_model(tmp_path / "model")
    released = dataclasses.replace(model, keras_model=before.model)
    np.testing.assert_allclose(score_model(model, dataset, "test"), score_model(released, dataset, "test"), atol=1e-5)


def test_without_a_release_training_starts_from_scratch_with_a_note(tiny_dataset, tmp_path) -> None:
    info = train(tiny_dataset, tmp_path / "model", TrainSettings.of(STILL))
    assert "warm start: nothing has been released yet, so training does not start from a release" in info["notes"]
    assert info["warm_started_from"] == ""


def test_an_unreadable_release_is_an_error_and_leaves_nothing(tiny_dataset, tiny_registry, tmp_path) -> None:
    release = shutil.copytree(tiny_registry / "tiny" / "1", tmp_path / "tiny" / "1")
    (release / "model.keras").write_bytes((release / "model.keras").read_bytes()[:1000])
    for address, error, message in (
        (release, PetalflowError, r"model\.keras cannot be loaded"),
        (tmp_path / "tiny" / "2", UsageError, "is not a release"),
    ):
        with pytest.raises(error, match=message) as caught:
            train(tiny_dataset, tmp_path / "model", TrainSettings.of(STILL), warm_start_uri=str(address))
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()
