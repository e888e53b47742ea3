from components.release.model_card import model_card
from petalflow.model.exported import Exported
from petalflow.model.serving import Serving
from petalflow.model.task import Task


def card_of(*classes: str, task: Task = Task.MULTI_CLASS, **verdict: object) -> str:
    proportion = {"value": 1.0, "low": 0.5, "high": 1.0, "trials": 3}
    return model_card(
        {"test_images": 3, "checks": [], "abstain_threshold": 0.0, "temperature": 1.0, **verdict},
        {"proportions": {"accuracy": proportion}, "recalls": dict.fromkeys(classes, proportion)},
        Exported("f", classes, Serving(1.0, 0.0), "c0de", "cnn", 5, 16, 3, 0.0, task),
        3,
    )


def test_class_names_are_escaped_in_the_card() -> None:
    card = card_of("<b>x</b> | *y*")
    assert "<b>" not in card
    assert r"\<b\>x\</b\> \| \*y\*" in card


def test_the_card_explains_the_output_of_the_keras_model() -> None:
    several, two = card_of("ant", "bee", "cat"), card_of("ant", "bee_fly", task=Task.BINARY)
    assert "returns\n`[n, 3]`, the probability of each class, in the order of `labels.txt`." in several
    assert "returns\n`[n, 1]`, the probability of bee\\_fly; the probability of ant is 1 minus that." in two


def test_a_card_for_several_labels_explains_its_outputs() -> None:
    card = card_of("ant", "bee", "cat", task=Task.MULTI_LABEL)
    assert "| accuracy (every label correct) | 1.000 |" in card
    assert "Both return `scores` and `labels`, which is true for every label with a score above 0.5." in card
    assert "`readable`, which is false for an image that cannot be decoded; the other images of its batch" in card
    assert "assigns one of them" not in card
    assert "knows only the classes above and assigns one of them to any image." in card_of("ant", "bee", "cat")


def test_the_card_names_who_accepted_a_model_that_failed() -> None:
    card = card_of("ant", "bee", accepted_anyway={"by": "Ada <b>", "reason": "a wrong label"})
    assert r"Ada \<b\> accepted it anyway: a wrong label" in card
    assert "accepted it anyway" not in card_of("ant", "bee", accepted_anyway=None)


def test_a_failed_check_is_not_given_as_a_reason_to_accept() -> None:
    checks = [
        {"name": "min_accuracy", "slice": "", "why": "is below 0.9", "passed": False},
        {"name": "min_recall", "slice": "ant", "why": "reaches 0.5", "passed": True},
    ]
    card = card_of("ant", "bee", checks=checks, accepted_anyway={"by": "Ada", "reason": "a wrong label"})
    assert "Why it was accepted" not in card
    assert "trained by Petalflow" in card
    assert "It failed its checks and was accepted by a person." in card
    assert "- **failed** min\\_accuracy: is below 0.9\n- min\\_recall of ant: reaches 0.5" in card
    accepted = card_of("ant", "bee", checks=checks[1:], accepted_anyway=None)
    assert "## Why it was accepted\n\n- min\\_recall of ant" in accepted
