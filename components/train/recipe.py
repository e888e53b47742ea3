"""Which layers of a pretrained network are worth training, by the amount of data and its likeness to ImageNet."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

# Below so many training images a class, there is little to tune a network by.
FEW_IMAGES_A_CLASS = 500
# Above so much of the way from guessing to perfect, what the network knows already is enough to tell the classes.
ALIKE = 0.85
# What tuning the last 30 % of MobileNetV2 was worth here, in test accuracy, one seed each (on 162 images of flowers, so
# more or less 0.05; on 905 of Fashion-MNIST, 0.02):
#   images a class, way gone          head    last layers   all
#   flowers, 25, 0.51                 0.75    0.78          0.78
#   flowers, 256, 0.83                0.88    0.89
#   Fashion-MNIST, 46, 0.69           0.70    0.79          0.80
#   Fashion-MNIST, 495, 0.83          0.83    0.89
#   flowers, 25, random weights, 0    0.24    0.24
# So the last layers are worth their time up to 0.83; where "many" and "alike" begin was not found out.


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
        guess_accuracy: That of who knows nothing but how common the classes are.
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


def guess_accuracy(counts: Sequence[int], images: int, *, multi_label: bool) -> float:
    """Returns the accuracy of always giving the commonest answer: the class, or of several labels yes or no to each.

    Args:
        counts: Images of each class.
        images: In all.
        multi_label: Whether an image may have several; accuracy is the share of labels that are right then.
    """
    shares = [count / images for count in counts]
    return fmean(max(share, 1 - share) for share in shares) if multi_label else max(shares)
