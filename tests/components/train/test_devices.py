import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from components.train.devices import choose_devices, dtype_policy
from components.train.settings import TrainSettings
from components.train.train import train
from petalflow import accelerators
from petalflow.dataset import open_dataset
from petalflow.errors import PetalflowError, UsageError
from petalflow.model.files import load_model
from petalflow.model.scoring import score_model

PETALFLOW = str(Path(sys.executable).with_name("petalflow"))
TWO_CPUS = """
    import sys, tensorflow as tf
    device = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [device] * 2)
    from components.train.settings import TrainSettings
"""
# Trains on the first CPU, then on both, with the same number of images per step.
TRAINED = """
    from components.train.train import train
    dataset, out, settings = sys.argv[1:]
    settings = TrainSettings.model_validate_json(settings)
    train(dataset, out + "/one", settings)
    both = {"strategy": "mirrored", "batch_size": settings.batch_size // 2, "learning_rate": settings.learning_rate / 2}
    train(dataset, out + "/two", settings.model_copy(update=both))
"""
HEAD = """
    import json, keras, numpy as np
    from components.train.devices import choose_devices
    from components.train.data import Batching, KeptFeed
    from components.train.networks import build_head
    from components.train.steps import Objective, Steps
    from petalflow.model.task import Task

    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 100)
    features = (generator.normal(size=(100, 64)) + np.eye(3, 64)[labels] * 4).astype(np.float32)
    feed = KeptFeed(features, labels, 3, Batching(32, 0, balance="class_weights", whole=True))
    curves = []
    for strategy in ("cpu", "mirrored"):
        devices = choose_devices(TrainSettings(strategy=strategy))
        keras.utils.set_random_seed(0)
        with devices.strategy.scope():
            inputs = keras.Input((64,))
            head = keras.Model(inputs, build_head(inputs, [], 0, Task.MULTI_CLASS, 3))
            optimizer = keras.optimizers.Adam(0.01)
            optimizer.build(head.trainable_variables)
        steps = Steps(head, optimizer, Objective(Task.MULTI_CLASS, 3, 0), devices)
        curve = []
        for epoch in range(3):
            for batches in (feed.training(epoch), feed.scoring()):
                parts = [sums for _, sums in steps.run(batches, 4, training=len(curve) % 2 == 0)]
                curve.append([sum(getattr(part, name) for part in parts) for name in ("loss", "correct", "weight")])
        curves.append(curve)
    print(json.dumps([devices.count, *curves]))
"""


def test_mirrored_devices_train_like_one(tiny_dataset, run_preloaded, tmp_path) -> None:
    settings = TrainSettings(
        backbone="dense", image_size_px=32, dropout=0, max_epochs=3, patience_epochs=3, strategy="cpu"
    )
    dataset = open_dataset(tiny_dataset)
    assert dataset.size("train") % settings.batch_size, "the last batch is padded"
    done = run_preloaded(TWO_CPUS + TRAINED, str(tiny_dataset), str(tmp_path), settings.model_dump_json())
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (json.loads((tmp_path / name / "history.json").read_text()) for name in ("one", "two"))
    assert one["loss"][-1] < one["loss"][0]
    for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
        np.testing.assert_allclose(two[name], one[name], rtol=2e-3, err_msg=name)
    labels = [labels[0] for labels in dataset.labels("validation")]
    right = score_model(load_model(tmp_path / "two"), dataset, "validation").argmax(axis=1) == labels
    assert right.mean() == pytest.approx(two["val_accuracy"][np.argmin(two["val_loss"])])


def test_mirrored_devices_weight_every_image_of_kept_features(run_preloaded) -> None:
    done = run_preloaded(TWO_CPUS + HEAD)
    assert done.returncode == 0, done.stderr[-2000:]
    devices, one, two = json.loads(done.stdout)
    assert devices == 2
    np.testing.assert_allclose(two, one, rtol=1e-4)
    assert one[-1][0] < 0.8 * one[1][0]
    assert [weight for _, _, weight in two] == pytest.approx([100] * 6)  # of 128 with padding


def test_the_log_states_what_several_devices_share(run_preloaded) -> None:
    code = """
    import logging
    logging.basicConfig(level="INFO", format="%(message)s", force=True)
    from components.train.devices import choose_devices
    devices = choose_devices(TrainSettings(strategy="mirrored", batch_size=16, learning_rate=0.01))
    assert devices.count == 2 and devices.whole_batches
"""
    done = run_preloaded(TWO_CPUS + code)
    assert done.returncode == 0, done.stderr
    assert (
        "training on CPU:0, CPU:1, in float32, steps not compiled: "
        "batches of 2 × 16 = 32 images, learning rate 2 × 0.01 = 0.02" in done.stderr
    )


@pytest.mark.parametrize("strategy", ["auto", "cpu"])
def test_one_cpu_computes_in_float32_by_default(strategy: str, caplog) -> None:
    with caplog.at_level("INFO"):
        devices = choose_devices(TrainSettings(strategy=strategy))
    assert (devices.count, devices.policy, devices.compiled, devices.whole_batches) == (1, "float32", False, False)
    assert "training on CPU:0, in float32, steps not compiled: batches of 32 images, learning rate 0.001" in caplog.text
    assert choose_devices(TrainSettings(strategy=strategy, precision="bfloat16")).policy == "mixed_bfloat16"


CLUSTER = {"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "task": {"type": "worker", "index": 0}}


def test_several_workers_are_refused_in_a_line(tiny_dataset, tmp_path, preloaded_python) -> None:
    command = [preloaded_python, PETALFLOW, "train", "--dataset", str(tiny_dataset), "--out", str(tmp_path / "model")]
    done = subprocess.run(
        [*command, "--set", "backbone=dense"],
        env={"TF_CONFIG": json.dumps(CLUSTER), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = [line for line in done.stderr.splitlines() if "TF_CONFIG" in line]
    assert "names 3 workers" in line
    assert "keras#20585" in line
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
    assert not (tmp_path / "model").exists()


def test_one_worker_is_not_a_cluster(monkeypatch) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1"]}}))
    assert choose_devices(TrainSettings(strategy="mirrored")).count == 1
    for broken in ("nonsense", "[1]", '{"cluster": {"worker": 3}}'):
        monkeypatch.setenv("TF_CONFIG", broken)
        with pytest.raises(UsageError, match="TF_CONFIG is not a JSON object with a cluster"):
            choose_devices(TrainSettings())


@pytest.mark.skipif(accelerators.tpu_attached(), reason="is about a machine without a TPU")
def test_a_missing_tpu_is_one_line(tiny_dataset, tmp_path) -> None:
    with pytest.raises(PetalflowError, match=r"train\.strategy=tpu: this TensorFlow is not built for TPUs") as caught:
        train(tiny_dataset, tmp_path / "model", TrainSettings(backbone="dense", strategy="tpu"))
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, UsageError)
    assert not (tmp_path / "model").exists()


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    inner = [layer for one in model.layers if isinstance(one, keras.Model) for layer in all_layers(one)]
    return [model, *model.layers, *inner]


@pytest.mark.parametrize("backbone", ["cnn", "MobileNetV2"])
def test_a_model_trained_in_bfloat16_is_saved_in_float32(
    tiny_dataset, small_mobilenet, small_weights, tmp_path, backbone: str
) -> None:
    settings = TrainSettings(
        backbone=backbone,
        weights=small_weights,
        image_size_px=32,
        recipe="head" if backbone == "cnn" else "fine_tune",
        precision="bfloat16",
        max_epochs=2,
        fine_tune={"max_epochs": 2},
        best="val_accuracy",
    )
    info = train(tiny_dataset, tmp_path / "model", settings)
    model = load_model(tmp_path / "model")
    policies = {layer.dtype_policy.name for layer in all_layers(model.keras_model)}
    assert policies == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    dataset = open_dataset(tiny_dataset)
    labels = [labels[0] for labels in dataset.labels("validation")]
    right = score_model(model, dataset, "validation").argmax(axis=1) == labels
    # Equal to the accuracy measured in bfloat16, except for an image or two at the decision boundary.
    assert right.mean() == pytest.approx(info["validation_accuracy"], abs=2.5 / len(labels))


def test_the_dtype_policy_is_restored_even_after_an_error() -> None:
    with dtype_policy("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
    with pytest.raises(PetalflowError), dtype_policy("mixed_bfloat16"):
        raise PetalflowError("whatever")
    assert keras.layers.Dense(1).compute_dtype == "float32"
