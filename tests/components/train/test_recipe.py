import pytest

from components.train.recipe import ALIKE, FEW_IMAGES_A_CLASS, choose, guess_accuracy

FEW, MANY = FEW_IMAGES_A_CLASS - 1, FEW_IMAGES_A_CLASS
GUESS = 0.2
LIKE, UNLIKE = GUESS + (1 - GUESS) * (ALIKE + 0.01), GUESS + (1 - GUESS) * (ALIKE - 0.01)


@pytest.mark.parametrize(
    ("images_per_class", "probe", "recipe"),
    [
        (FEW, LIKE, "head"),
        (FEW, UNLIKE, "fine_tune"),
        (MANY, LIKE, "fine_tune"),
        (MANY, UNLIKE, "all"),
    ],
)
def test_the_table(images_per_class: float, probe: float, recipe: str) -> None:
    assert choose(images_per_class, probe, GUESS).recipe == recipe


def test_likeness_is_counted_from_guessing() -> None:
    """A probe of 0.9 is much where guessing gives 0.1, and nothing where it gives 0.9."""
    assert choose(FEW, 0.9, 0.1).recipe == "head"
    assert choose(FEW, 0.9, 0.9).recipe == "fine_tune"
    assert "0.00 of the way" in choose(FEW, 0.4, 0.9).why, "worse than guessing is no likeness, not a negative one"
    assert choose(FEW, 1.0, 1.0).recipe == "fine_tune", "where there is one class, nothing is known of likeness"


def test_the_reason_holds_every_number_it_is_made_of() -> None:
    why = choose(24.4, 0.75, 0.25).why
    assert "24 training images a class (few" in why
    assert "0.750" in why
    assert "0.250" in why
    assert "0.67 of the way (unlike ImageNet" in why


def test_guessing_is_to_know_how_common_the_classes_are() -> None:
    assert guess_accuracy([10, 30, 60], 100, multi_label=False) == pytest.approx(0.6)
    # Of labels that are rare, no is right nine times in ten.
    assert guess_accuracy([10, 10, 90], 100, multi_label=True) == pytest.approx(0.9)


def test_what_guessing_reaches() -> None:
    assert guess_accuracy([30, 10], 40, multi_label=False) == 0.75
    assert guess_accuracy([30, 10], 40, multi_label=True) == 0.75, "yes to the first, no to the second"
    assert guess_accuracy([40, 20, 0], 40, multi_label=True) == pytest.approx(2.5 / 3)
