from components.release.model_card import model_card
from petalflow.model.exported import Exported
from petalflow.verdict import Serving


def test_names_cannot_become_markup_in_the_card() -> None:
    name = "<b>x</b> | *y*"
    proportion = {"value": 1.0, "low": 0.5, "high": 1.0, "trials": 3}
    card = model_card(
        {"test_images": 3, "checks": [], "abstain_threshold": 0.0, "temperature": 1.0},
        {"accuracy": proportion, "recalls": {name: proportion}},
        Exported("f", (name,), Serving(1.0, 0.0), "c0de", "cnn", 5, 16, 3, 0.0),
        3,
    )
    assert "<b>" not in card
    assert r"\<b\>x\</b\> \| \*y\*" in card
