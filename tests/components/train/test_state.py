import json
import math

import keras
import numpy as np
import pytest

from components.train.state import (
    VALIDATION_ACCURACY,
    VALIDATION_LOSS,
    DoesNotFitError,
    TrainingState,
    assign,
    copy_values,
)
from petalflow.errors import PetalflowError


def added(best_by: str, *epochs: tuple[float, float]) -> TrainingState:
    state = TrainingState()
    for loss, accuracy in epochs:
        state.add_epoch({VALIDATION_LOSS: loss, VALIDATION_ACCURACY: accuracy, "phase": "head"}, best_by)
    return state


def test_the_best_epoch_is_chosen_by_the_given_metric() -> None:
    epochs = (0.5, 0.7), (0.4, 0.6), (0.4, 0.9), (0.6, 0.9)
    assert added("val_loss", *epochs).best_epoch == 1, "of equals the first"
    assert added("val_accuracy", *epochs).best_epoch == 2
    assert added("val_accuracy", *epochs).best_metric(VALIDATION_LOSS) == 0.4


@pytest.mark.parametrize("best_by", ["val_loss", "val_accuracy"])
def test_an_epoch_with_a_nan_loss_is_never_the_best(best_by: str) -> None:
    nan, inf = math.nan, math.inf
    assert added(best_by, (nan, 0.9), (0.5, 0.3), (inf, 0.95)).best_epoch == 1
    with pytest.raises(PetalflowError, match="learning_rate"):
        added(best_by, (nan, 0.9)).best_metric(VALIDATION_LOSS)


def test_the_history_has_null_for_nan() -> None:
    history = json.loads(added("val_loss", (math.nan, 0.5), (0.4, 0.6)).history_json(), parse_constant=pytest.fail)
    assert history == {"val_loss": [None, 0.4], "val_accuracy": [0.5, 0.6], "phase": ["head", "head"]}


def test_values_are_assigned_all_or_none() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    before = copy_values(model.variables)
    assign(model.variables, [value + 1 for value in before])
    np.testing.assert_array_equal(model.get_weights()[0], before[0] + 1)
    for wrong in (before[:1], [before[0], np.zeros(4, np.float32)], [before[0].T, before[1]]):
        with pytest.raises(DoesNotFitError, match="the network has 9 numbers in 2"):
            assign(model.variables, wrong)
    np.testing.assert_array_equal(model.get_weights()[0], before[0] + 1)
