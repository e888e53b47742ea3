import json
import logging
import re

import keras
import numpy as np
import pytest

from components.train.settings import TrainSettings
from components.train.state import PHASE
from components.train.train import train
from petalflow.errors import PetalflowError
from petalflow.model.files import load_model

QUICK = {"backbone": "dense", "image_size_px": 16, "max_epochs": 4, "patience_epochs": 4}


def quick(**values: object) -> TrainSettings:
    return TrainSettings.model_validate({**QUICK, **values})


def history(folder) -> dict[str, list]:
    return json.loads((folder / "history.json").read_text())


def head_of(folder) -> list[np.ndarray]:
    return load_model(folder).keras_model.get_layer("head").get_weights()


def test_a_training_without_any_number_is_one_line_and_leaves_nothing(tiny_dataset, tmp_path) -> None:
    wild = quick(optimizer="sgd").model_copy(update={"learning_rate": 1e30})
    with pytest.raises(PetalflowError, match=r"no number with a learning rate of 1e\+30; train with a lower train.lea"):
        train(tiny_dataset, tmp_path / "model", wild, str(tmp_path / "state"))
    assert list(tmp_path.iterdir()) == []


def test_a_fine_tuning_that_makes_it_worse_leaves_the_heads_best(tiny_dataset, backbone_weights, tmp_path) -> None:
    head = quick(backbone="MobileNetV2", weights=str(backbone_weights), image_size_px=32, patience_epochs=1)
    epochs = train(tiny_dataset, tmp_path / "head", head)["epochs"]
    # Weights that are thrown far at once.
    spoiled = {"layers": 2, "learning_rate": 1.0, "warmup_epochs": 0, "max_epochs": 20}
    settings = quick(**{**head.model_dump(mode="json"), "recipe": "fine_tune", "fine_tune": spoiled})
    info = train(tiny_dataset, tmp_path / "spoiled", settings)
    assert history(tmp_path / "spoiled")[PHASE] == ["head"] * epochs + ["fine-tuning"]
    assert info["best_epoch"] <= epochs
    for one, other in zip(head_of(tmp_path / "spoiled"), head_of(tmp_path / "head"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_time_budget_that_is_spent_ends_in_an_epoch_and_leaves_the_next_phase_out(
    tiny_dataset, backbone_weights, tmp_path, caplog
) -> None:
    caplog.set_level(logging.INFO)
    settings = quick(
        backbone="MobileNetV2",
        weights=str(backbone_weights),
        image_size_px=32,
        recipe="fine_tune",
        time_budget_minutes=1e-6,
        batch_size=4,
    )
    info = train(tiny_dataset, tmp_path / "model", settings)
    assert history(tmp_path / "model")[PHASE] == ["head"]
    assert "phase 2 is left out: the time budget of 1e-06 minutes is spent" in caplog.text
    assert any("time budget" in note for note in info["notes"])
    assert any(note.startswith("epoch 1 of head ended after ") for note in info["notes"])


def test_the_end_of_a_phase_says_why_and_how_fast_it_was(tiny_dataset, tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    train(tiny_dataset, tmp_path / "model", quick())
    line = r"from scratch ended: epoch 4 of 4 was the last; [\d,]+ images/s, [\d.]+% of it waiting for input"
    assert re.search(line, caplog.text)
    waited = history(tmp_path / "model")["waited"]
    assert all(0 <= share <= 1 for share in waited)


def test_what_is_released_is_a_network_of_numbers_after_a_divergence(tiny_dataset, tmp_path) -> None:
    info = train(tiny_dataset, tmp_path / "model", quick(optimizer="sgd", learning_rate=1.0, max_epochs=20))
    assert np.isfinite(info["validation_accuracy"])
    model = keras.models.load_model(tmp_path / "model" / "model.keras")
    assert all(np.isfinite(weights).all() for weights in model.get_weights())
