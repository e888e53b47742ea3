import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from components.train.settings import TrainSettings
from components.train.train import train
from petalflow.dataset import open_dataset
from petalflow.errors import PetalflowError, UsageError
from petalflow.model.files import load_model
from petalflow.model.scoring import score_model
from tests.components.conftest import make_dataset, write_colours

QUICK = TrainSettings(backbone="dense", image_size_px=16, max_epochs=8, patience_epochs=3)


def weights_of(folder) -> list[np.ndarray]:
    return load_model(folder).keras_model.get_weights()


def accuracy(folder, dataset, split: str) -> float:
    labels = [record.labels[0] for record in dataset.records(split)]
    return float((score_model(load_model(folder), dataset, split).argmax(axis=1) == labels).mean())


def test_the_model_is_that_of_the_best_epoch(tiny_dataset, tmp_path) -> None:
    # A rate so high that the loss fluctuates: for one of these seeds the best epoch is not the last.
    for seed in range(6):
        settings = TrainSettings(
            backbone="dense",
            image_size_px=16,
            max_epochs=6,
            patience_epochs=6,
            learning_rate=0.002,
            best="val_accuracy",
            seed=seed,
        )
        folder = tmp_path / f"model-{seed}"
        info = train(tiny_dataset, folder, settings)
        if info["best_epoch"] < info["epochs"]:
            break
    history = json.loads((folder / "history.json").read_text())
    best = int(np.argmax(history["val_accuracy"]))
    assert info["best_epoch"] == best + 1 < info["epochs"]
    dataset = open_dataset(tiny_dataset)
    assert accuracy(folder, dataset, "validation") == pytest.approx(history["val_accuracy"][best])
    labels = np.array([record.labels[0] for record in dataset.records("validation")])
    scores = score_model(load_model(folder), dataset, "validation")
    loss = -np.log(
        np.maximum(scores[np.arange(len(labels)), labels], 1e-7)
    ).mean()  # none is small enough to be clipped
    assert loss == pytest.approx(history["val_loss"][best], rel=1e-3)


def test_the_cnn_learns(tiny_dataset, tmp_path) -> None:
    train(tiny_dataset, tmp_path / "model", QUICK.model_copy(update={"backbone": "cnn"}))
    assert accuracy(tmp_path / "model", open_dataset(tiny_dataset), "test") > 0.9


def test_equal_seeds_train_equal_weights_and_others_do_not(tiny_dataset, tmp_path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tiny_dataset, tmp_path / name, QUICK.model_copy(update={"seed": seed, "max_epochs": 2}))
    a, b, c = (weights_of(tmp_path / name) for name in "abc")
    assert all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))
    assert not all(np.array_equal(one, other) for one, other in zip(a, c, strict=True))


def test_training_stops_at_the_target(tiny_dataset, tmp_path) -> None:
    settings = TrainSettings(backbone="cnn", image_size_px=16, max_epochs=40, patience_epochs=40, target_accuracy=0.9)
    info = train(tiny_dataset, tmp_path / "model", settings)
    reached = json.loads((tmp_path / "model" / "history.json").read_text())["accuracy"]
    assert info["epochs"] < 40
    assert reached[-1] >= 0.9
    assert max(reached[:-1], default=0) < 0.9


def test_images_that_exceed_the_cache_are_trained_on_too(tiny_dataset, tmp_path) -> None:
    train(tiny_dataset, tmp_path / "streamed", QUICK.model_copy(update={"cache_mib": 0}))
    assert accuracy(tmp_path / "streamed", open_dataset(tiny_dataset), "test") > 0.85


def test_training_a_head_does_not_change_the_backbone(tiny_dataset, backbone_weights, tmp_path) -> None:
    settings = TrainSettings(backbone="MobileNetV2", weights=str(backbone_weights), image_size_px=32, max_epochs=3)
    train(tiny_dataset, tmp_path / "model", settings)
    fresh = keras.applications.MobileNetV2(include_top=False, weights=str(backbone_weights), input_shape=(32, 32, 3))
    trained = load_model(tmp_path / "model").keras_model
    (backbone,) = [layer for layer in trained.layers if layer.name.startswith("mobilenetv2")]
    for layer, original in zip(backbone.layers, fresh.layers, strict=True):
        for one, other in zip(layer.get_weights(), original.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_model_loads_without_this_project(tiny_model) -> None:
    code = (
        "import sys, keras, numpy as np\n"
        "model = keras.models.load_model(sys.argv[1], safe_mode=True)\n"
        "print(model(np.zeros((1, *model.input_shape[1:]), 'float32')).shape)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('petalflow', 'components')]\n"
    )
    command = [sys.executable, "-c", code, str(tiny_model / "model.keras")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "(1, 3)" in done.stdout


def test_a_network_that_learned_nothing_is_reported(tiny_dataset, tmp_path, caplog) -> None:
    counts = open_dataset(tiny_dataset).counts["validation"].values()
    majority, warned = max(counts) / sum(counts), set()
    for seed in range(8):  # some random weights predict the same class for every image
        untrained = QUICK.model_copy(update={"learning_rate": 1e-12, "max_epochs": 1, "seed": seed})
        caplog.clear()
        info = train(tiny_dataset, tmp_path / f"model-{seed}", untrained)
        nothing = info["validation_accuracy"] <= majority
        assert ("nothing was learned: validation accuracy " in caplog.text) == nothing
        assert any("nothing was learned" in note for note in info["notes"]) == nothing
        warned.add(nothing)
        if len(warned) == 2:
            break
    assert warned == {True, False}


def test_problems_of_files_are_reported_before_tensorflow_is_imported(tiny_dataset, tmp_path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for dataset, out, more, message, exit_code in (
        (tmp_path / "none", tmp_path / "out", [], "is not a complete dataset (nothing is there)", 1),
        (tiny_dataset, tmp_path / "full", [], "is not empty", 2),
        (tiny_dataset, tmp_path / "out", ["--set", "batch_size=5000"], "reduce it", 2),
    ):
        code = (
            "import sys; from components.train.__main__ import app; from petalflow import commandline\n"
            "try: commandline.main(app)\n"
            "finally: assert 'tensorflow' not in sys.modules"
        )
        arguments = ["--dataset", str(dataset), "--out", str(out), "--set", "backbone=dense", *more]
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        assert done.returncode == exit_code


def test_a_failed_training_leaves_nothing(tiny_dataset, tmp_path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        train(tiny_dataset, tmp_path / "model", TrainSettings(backbone="MobileNet9"))
    with pytest.raises(PetalflowError, match="not a complete dataset"):
        train(tmp_path, tmp_path / "model", QUICK)
    assert not (tmp_path / "model").exists()


def test_a_validation_split_of_one_class_says_so_instead_of_nothing_was_learned(tmp_path) -> None:
    source = write_colours(tmp_path / "photos", ("red", "green"))
    rows = ["image,label,split"]
    for name in ("red", "green"):
        splits = ["train"] * 30 + (["validation"] * 10 if name == "red" else []) + ["test"] * 10
        rows += [f"{name}/{number:03d}.png,{name},{split}" for number, split in enumerate(splits)]
    (source / "photos.csv").write_text("\n".join(rows) + "\n")
    dataset = make_dataset(source / "photos.csv", tmp_path / "dataset")
    info = train(dataset, tmp_path / "model", QUICK.model_copy(update={"max_epochs": 1, "batch_size": 16}))
    assert info["nothing_learned"] == ""
    assert any("one class only" in note for note in info["notes"])
