import math

import pytest

from components.train.settings import TrainSettings
from components.train.state import ACCURACY, LOSS, PHASE, VALIDATION_ACCURACY, VALIDATION_LOSS, TrainingState
from components.train.stopping import budget_spent, reason_to_stop

SETTINGS = TrainSettings(patience_epochs=2)


def trained(losses: list[float], val_losses: list[float] | None = None, phases: str = "") -> TrainingState:
    """Returns the state after epochs of these losses; `phases` has a letter an epoch."""
    state = TrainingState()
    for index, loss in enumerate(losses):
        figures = {
            PHASE: phases[index] if phases else "h",
            LOSS: loss,
            ACCURACY: 1 - loss / 10,
            VALIDATION_LOSS: val_losses[index] if val_losses else loss,
            VALIDATION_ACCURACY: 0.5,
        }
        state.add_epoch(figures, "val_loss")
    return state


def reason(state: TrainingState, settings: TrainSettings = SETTINGS, phase: str = "h", max_epochs: int = 9) -> str:
    return reason_to_stop(state, settings, phase, max_epochs, guess=math.log(3), rate=0.03)


def with_(**values: object) -> TrainSettings:
    return SETTINGS.model_copy(update=values)


def test_it_goes_on_while_it_gets_better_and_ends_at_the_last_epoch() -> None:
    assert reason(trained([])) == ""
    assert reason(trained([0.9, 0.8, 0.7])) == ""
    assert reason(trained([0.9, 0.8, 0.7]), max_epochs=3) == "epoch 3 of 3 was the last"


def test_patience_goes_by_the_validation_figure() -> None:
    assert reason(trained([0.9, 0.8, 0.7], [0.5, 0.6, 0.4])) == ""
    assert reason(trained([0.9, 0.8, 0.7], [0.5, 0.6, 0.7])) == "val_loss has not been better for 2 epochs"


def test_a_later_phase_has_its_own_patience_even_if_the_earlier_was_better() -> None:
    losses = [0.5, 0.1, 0.3, 0.4]
    assert reason(trained(losses[:3], phases="hhf"), phase="f") == ""
    assert reason(trained(losses, phases="hhff"), phase="f") == "val_loss has not been better for 2 epochs"


def test_targets_end_it() -> None:
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
    assert reason(state, settings) == reason(state, settings, phase="f") == "the time budget of 2 minutes is spent"
    assert budget_spent(TrainingState(spent_s=999), settings) == ""


@pytest.mark.parametrize(("losses", "val_losses"), [([0.9, math.nan], None), ([0.9, 0.8], [0.9, math.inf])])
def test_a_loss_that_is_no_number_ends_it_and_names_the_learning_rate(losses, val_losses) -> None:
    state = trained(losses, val_losses)
    assert reason(state) == "the loss is no number with a learning rate of 0.03; train with a lower train.learning_rate"
    state.phase = 1
    assert reason(state).endswith("train with a lower train.fine_tune.learning_rate")


def test_a_loss_that_rises_beyond_guessing_ends_it() -> None:
    assert "the loss rose from 0.2 to 2.5 with a learning rate of 0.03" in reason(trained([0.2, 2.5]))
    assert reason(trained([0.02, 1.5])) == "", "guessing is not far from there"
    assert reason(trained([2.0, 5.0])) == "", "it began high"
