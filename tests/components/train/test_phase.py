import json
import logging
import math
import re

import keras
import numpy as np
import pytest

from components.train.phase import budget_spent, reason_to_stop
from components.train.settings import TrainSettings
from components.train.state import ACCURACY, LOSS, PHASE, VALIDATION_ACCURACY, VALIDATION_LOSS, TrainingState
from components.train.steps import PhaseSchedule
from components.train.train import train
from petalflow.errors import PetalflowError
from petalflow.model.files import load_model

SETTINGS = TrainSettings(patience_epochs=2)


def trained(losses: list[float], val_losses: list[float] | None = None, phases: str = "") -> TrainingState:
    """Returns the state after epochs of these losses; `phases` has a letter per epoch."""
    state = TrainingState()
    for index, loss in enumerate(losses):
        metrics = {
            PHASE: phases[index] if phases else "h",
            LOSS: loss,
            ACCURACY: 1 - loss / 10,
            VALIDATION_LOSS: val_losses[index] if val_losses else loss,
            VALIDATION_ACCURACY: 0.5,
        }
        state.add_epoch(metrics, "val_loss")
    return state


def reason(state: TrainingState, settings: TrainSettings = SETTINGS, phase: str = "h", max_epochs: int = 9) -> str:
    return reason_to_stop(state, settings, phase, PhaseSchedule(0.03, 0, False, max_epochs), chance_loss=math.log(3))


def with_(**values: object) -> TrainSettings:
    return SETTINGS.model_copy(update=values)


def test_a_phase_continues_while_it_improves_and_ends_after_the_last_epoch() -> None:
    assert reason(trained([])) == ""
    assert reason(trained([0.9, 0.8, 0.7])) == ""
    assert reason(trained([0.9, 0.8, 0.7]), max_epochs=3) == "all 3 epochs are done"


def test_patience_is_counted_by_the_validation_metric() -> None:
    assert reason(trained([0.9, 0.8, 0.7], [0.5, 0.6, 0.4])) == ""
    assert reason(trained([0.9, 0.8, 0.7], [0.5, 0.6, 0.7])) == "val_loss has not improved for 2 epochs"


def test_a_later_phase_has_its_own_patience_even_if_the_earlier_was_better() -> None:
    losses = [0.5, 0.1, 0.3, 0.4]
    assert reason(trained(losses[:3], phases="hhf"), phase="f") == ""
    assert reason(trained(losses, phases="hhff"), phase="f") == "val_loss has not improved for 2 epochs"


def test_targets_end_a_phase() -> None:
    state = trained([0.9, 0.4])  # accuracy 0.91, 0.96
    assert "accuracy 0.9600 reached the target 0.96" in reason(state, with_(target_accuracy=0.96))
    assert reason(state, with_(target_accuracy=0.97)) == ""
    assert "loss 0.4000 is below the target 0.41" in reason(state, with_(target_loss=0.41))
    assert reason(state, with_(target_loss=0.4)) == ""


def test_the_time_budget_ends_any_phase_but_leaves_one_epoch() -> None:
    state, settings = trained([0.9]), with_(time_budget_minutes=2)
    state.spent_s = 119.9
    assert reason(state, settings) == ""
    state.spent_s = 120
    assert reason(state, settings) == reason(state, settings, phase="f") == "the time budget of 2 minutes is used up"
    assert budget_spent(TrainingState(spent_s=999), settings) == ""


@pytest.mark.parametrize(
    ("losses", "val_losses", "what"), [([0.9, math.nan], None, "NaN"), ([0.9, 0.8], [0.9, math.inf], "infinite")]
)
def test_a_loss_that_is_not_finite_ends_a_phase_and_names_the_learning_rate(losses, val_losses, what) -> None:
    state = trained(losses, val_losses)
    assert reason(state) == f"the loss is {what} at a learning rate of 0.03; train with a lower train.learning_rate"
    state.phase = 1
    assert reason(state).endswith("train with a lower train.fine_tune.learning_rate")


def test_a_loss_that_rises_beyond_chance_ends_a_phase() -> None:
    assert "the loss rose from 0.2 to 2.5 at a learning rate of 0.03" in reason(trained([0.2, 2.5]))
    assert reason(trained([0.02, 1.5])) == "", "the chance loss is close"
    assert reason(trained([2.0, 5.0])) == "", "it started high"


QUICK = {"backbone": "dense", "image_size_px": 16, "max_epochs": 4, "patience_epochs": 4}


def quick(**values: object) -> TrainSettings:
    return TrainSettings.model_validate({**QUICK, **values})


def history(folder) -> dict[str, list]:
    return json.loads((folder / "history.json").read_text())


def head_of(folder) -> list[np.ndarray]:
    return load_model(folder).keras_model.get_layer("head").get_weights()


def test_a_training_of_nan_losses_is_one_line_and_leaves_nothing(tiny_dataset, tmp_path) -> None:
    wild = quick(optimizer="sgd").model_copy(update={"learning_rate": 1e30})
    with pytest.raises(PetalflowError, match=r"NaN at a learning rate of 1e\+30; train with a lower train.lea"):
        train(tiny_dataset, tmp_path / "model", wild, str(tmp_path / "state"))
    assert list(tmp_path.iterdir()) == []


def test_fine_tuning_that_makes_it_worse_keeps_the_best_of_the_head(
    tiny_dataset, small_mobilenet, small_weights, tmp_path
) -> None:
    head = quick(backbone="MobileNetV2", weights=small_weights, image_size_px=32, patience_epochs=1)
    epochs = train(tiny_dataset, tmp_path / "head", head)["epochs"]
    # A learning rate that ruins the weights immediately.
    spoiled = {"layers": "block_2_depthwise", "learning_rate": 1.0, "warmup_epochs": 0, "max_epochs": 20}
    settings = quick(**{**head.model_dump(mode="json"), "recipe": "fine_tune", "fine_tune": spoiled})
    info = train(tiny_dataset, tmp_path / "spoiled", settings)
    assert history(tmp_path / "spoiled")[PHASE] == ["head"] * epochs + ["fine-tuning"]
    assert info["best_epoch"] <= epochs
    for one, other in zip(head_of(tmp_path / "spoiled"), head_of(tmp_path / "head"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_spent_time_budget_ends_within_an_epoch_and_skips_the_next_phase(
    tiny_dataset, small_mobilenet, small_weights, tmp_path, caplog
) -> None:
    caplog.set_level(logging.INFO)
    settings = quick(
        backbone="MobileNetV2",
        weights=small_weights,
        image_size_px=32,
        recipe="fine_tune",
        time_budget_minutes=1e-6,
        batch_size=4,
    )
    info = train(tiny_dataset, tmp_path / "model", settings)
    assert history(tmp_path / "model")[PHASE] == ["head"]
    assert "phase 2 is skipped: the time budget of 1e-06 minutes is used up" in caplog.text
    assert any("time budget" in note for note in info["notes"])
    assert any(note.startswith("epoch 1 of head ended after ") for note in info["notes"])


def test_the_end_of_a_phase_states_the_reason_and_the_speed(tiny_dataset, tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    train(tiny_dataset, tmp_path / "model", quick())
    line = r"from scratch ended: all 4 epochs are done; [\d,]+ images/s, [\d.]+% of the time waiting for input"
    assert re.search(line, caplog.text)
    waited = history(tmp_path / "model")["waited"]
    assert all(0 <= share <= 1 for share in waited)


def test_after_a_divergence_the_model_has_finite_weights(tiny_dataset, tmp_path) -> None:
    info = train(tiny_dataset, tmp_path / "model", quick(optimizer="sgd", learning_rate=1.0, max_epochs=20))
    assert np.isfinite(info["validation_accuracy"])
    model = keras.models.load_model(tmp_path / "model" / "model.keras")
    assert all(np.isfinite(weights).all() for weights in model.get_weights())
