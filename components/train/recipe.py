"""Which layers of a pretrained network are worth training, by the amount of data and its likeness to ImageNet."""

from dataclasses import dataclass

# Below so many training images a class, there is little to tune a network by.
FEW_IMAGES_A_CLASS = 500
# Above so much of the way from guessing to perfect, what the network knows already is enough to tell the classes.
ALIKE = 0.85


@dataclass(frozen=True)
class Choice:
    """What to train after the head.

    Attributes:
        recipe: "head" (nothing more), "fine_tune" (the last layers) or "all".
        why: In words.
    """

    recipe: str
    why: str


def choose(images_per_class: float, probe_accuracy: float, guess_accuracy: float) -> Choice:
    """Returns what the usual table asks for.

    Few and alike: the head. Few and unlike, or many and alike: the last layers too. Many and unlike: all.

    Args:
        images_per_class: Training images a class, on average.
        probe_accuracy: Validation accuracy of the head on the frozen features, 0..1.
        guess_accuracy: That of always answering the commonest class.
    """
    likeness = max(0.0, (probe_accuracy - guess_accuracy) / max(1 - guess_accuracy, 1e-9))
    many, alike = images_per_class >= FEW_IMAGES_A_CLASS, likeness >= ALIKE
    recipe = "all" if many and not alike else "head" if alike and not many else "fine_tune"
    why = (
        f"{images_per_class:.0f} training images a class ({'many' if many else 'few'}: {FEW_IMAGES_A_CLASS} or more "
        f"are many), and the frozen features reach {probe_accuracy:.3f} where guessing has {guess_accuracy:.3f}: "
        f"{likeness:.2f} of the way ({'like' if alike else 'unlike'} ImageNet: {ALIKE:g} or more is like)"
    )
    return Choice(recipe, why)
