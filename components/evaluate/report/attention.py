"""Where the model looked on its mistakes, and what its first layers make of images of one class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.evaluate.report.galleries import MISSED, SURE, Choice
from components.evaluate.report.pictures import Picture, embedded
from petalflow.metrics.predictions import Predictions
from petalflow.model.task import Task

if TYPE_CHECKING:
    from petalflow.model.files import TrainedModel

# Side by side: so many that were answered rightly, and as many that were not.
_EACH = 2


@dataclass(frozen=True)
class Look:
    """Where a model looked in an image.

    Attributes:
        image: Index of the image.
        heats: A class and, as the address of a picture, where the image speaks for it; first the class answered.
    """

    image: int
    heats: Sequence[tuple[int, str]]


def looks(
    model: "TrainedModel",
    mistakes: Sequence[tuple[int, int]],
    inputs: NDArray[np.uint8],
    pictures: Mapping[int, Picture],
    predictions: Predictions,
) -> list[Look]:
    """Returns where the model looked, for the class that it answered and the one that it should have answered.

    Args:
        model: The model.
        mistakes: Indices of images, and the class answered for each.
        inputs: These images as the model sees them, uint8 [m, size, size, 3].
        pictures: By index, of these images.
        predictions: To the test images.

    Returns:
        As many as there are mistakes; none of a network without convolutions.
    """
    from components.evaluate.report.gradcam import gradcams, overlay

    pairs = [(at, said) for at, (_, said) in enumerate(mistakes)]
    if predictions.task is not Task.MULTI_LABEL:  # of several labels, none stands in for the wrong one
        labels = predictions.label_indices
        pairs += [(at, int(labels[image])) for at, (image, _) in enumerate(mistakes)]
    if not pairs:
        return []
    ats, classes = np.array(pairs).T
    heats = gradcams(model, inputs[ats], classes)
    if heats is None:
        return []
    found: list[list[tuple[int, str]]] = [[] for _ in mistakes]
    for (at, of_class), heat in zip(pairs, heats, strict=True):
        picture = overlay(pictures[mistakes[at][0]].pixels, heat)
        found[at].append((of_class, embedded(picture, "image/jpeg")))
    return [Look(image, of_one) for (image, _), of_one in zip(mistakes, found, strict=True)]


def side_by_side(choice: Choice) -> tuple[int, list[int]]:
    """Returns the class that most images are missed of, and some of its images: right ones, and missed ones."""
    worst = int(np.argmax([kinds[MISSED].count for kinds in choice.galleries]))
    kinds = choice.galleries[worst]
    return worst, [*kinds[SURE].shown[:_EACH], *kinds[MISSED].shown[:_EACH]]


def activations(model: "TrainedModel", inputs: NDArray[np.uint8], titles: Sequence[str]) -> str | None:
    """Returns the address of a picture of what the first layers make of images; None if there is nothing to show.

    Args:
        model: The model.
        inputs: Images as the model sees them, uint8 [n, size, size, 3].
        titles: Of each, [n].
    """
    from components.evaluate.report.activations import draw_activations

    drawn = draw_activations(model, inputs, titles) if titles else None
    return embedded(drawn, "image/png") if drawn else None
