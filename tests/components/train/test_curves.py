import io

import numpy as np
import pytest
from PIL import Image

from components.train.curves import draw_curves

HEIGHT_OF_TWO = 600


def history(phases: list[str], rates: list[float] | None = None) -> dict[str, list]:
    epochs = len(phases)
    falling = [2 / (1 + epoch) for epoch in range(epochs)]
    return {
        "phase": phases,
        "loss": falling,
        "val_loss": [value + 0.2 for value in falling],
        "accuracy": [1 - value / 2 for value in falling],
        "val_accuracy": [0.9 - value / 2 for value in falling],
        "learning_rate": rates or [1e-3] * epochs,
    }


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)


@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_any_number_of_epochs_is_drawn(epochs: int) -> None:
    picture = pixels(draw_curves(history(["from scratch"] * epochs), epochs))
    assert picture.shape == (HEIGHT_OF_TWO, 800, 3)
    assert picture.std() > 10


def test_the_best_epoch_and_the_phases_are_marked() -> None:
    one = pixels(draw_curves(history(["head"] * 6), 2))
    assert (one != pixels(draw_curves(history(["head"] * 6), 5))).any()
    shades = [
        set(pixels(draw_curves(history(phases), 2))[400, :, 0].tolist())
        for phases in (["head"] * 6, ["head"] * 3 + ["fine-tuning"] * 3)
    ]
    assert shades[1] - shades[0], "the second phase has a shade of its own"


def test_a_varying_learning_rate_has_a_panel() -> None:
    rates = [1e-3, 1e-3, 1e-5, 1e-4, 0.0]
    assert len(pixels(draw_curves(history(["head"] * 5, rates), 2))) > HEIGHT_OF_TWO


def test_an_epoch_without_numbers_leaves_a_gap(recwarn) -> None:
    given = history(["head"] * 4)
    whole = draw_curves(given, 2)
    given["loss"][-1] = given["val_loss"][-1] = None
    assert draw_curves(given, 2) != whole
    assert not recwarn.list


def test_equal_histories_give_equal_bytes() -> None:
    assert draw_curves(history(["head"] * 3), 2) == draw_curves(history(["head"] * 3), 2)
