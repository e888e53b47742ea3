"""How the first layers of a network see images: the maps that they give, side by side."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from components.evaluate.report.channels import show_channels
from components.evaluate.report.sheet import draw_sheet, fitted
from components.evaluate.report.unnest import Step, unnested
from petalflow.model.files import TrainedModel

# What a convolution gives is read by the next layer after these.
_AFTER_CONVOLUTION = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Activation,
    keras.layers.ReLU,
)


def draw_activations(
    model: TrainedModel, images: NDArray[np.uint8], titles: Sequence[str], layers: int = 5
) -> bytes | None:
    """Returns a PNG file of what the first convolutions and poolings make of images: a column an image, a row a layer.

    A cell shows the strongest channels of a layer, the same for all images and scaled to all of them: what is brighter
    in one image than in another is stronger there. A convolution is shown after the normalization and the activation
    that follow it, as the next layer reads it; 1×1 convolutions, which only mix channels, are left out.

    Args:
        model: The model.
        images: uint8 [n, size, size, 3], of the model's own size; a few, best of one class.
        titles: A short one for each image, [n].
        layers: How many convolutions and poolings, from the first; 1 or more.

    Returns:
        The file; None for a network without convolutions.
    """
    network = unnested(model.keras_model)
    seen = first_seen(network.steps, layers)
    if not seen:
        return None
    first = keras.Model(network.input, [output for _, output in seen])
    # A list of one output comes back as that output alone.
    maps = [np.asarray(one, np.float32) for one in keras.tree.flatten(first(images.astype(np.float32), training=False))]
    rows = [[fitted(image) for image in images], *(show_channels(one) for one in maps)]
    names = ["input", *(step.layer.name for step, _ in seen)]
    shapes = [network.input.shape[1:], *(output.shape[1:] for _, output in seen)]
    labels = [(name, " × ".join(map(str, shape))) for name, shape in zip(names, shapes, strict=True)]
    return draw_sheet(rows, labels, titles)


def first_seen(steps: Sequence[Step], count: int) -> list[tuple[Step, keras.KerasTensor]]:
    """Returns the first convolutions and poolings, each with the map that it gives to what comes after."""
    places = [index for index, step in enumerate(steps) if step.is_convolution or step.is_pooling]
    return [(steps[index], _activated(steps[index:])) for index in places[:count]]


def _activated(steps: Sequence[Step]) -> keras.KerasTensor:
    """Returns what the first of these steps gives, after its normalization and activation."""
    output = steps[0].output
    for step in steps[1:]:
        if not isinstance(step.layer, _AFTER_CONVOLUTION) or step.inputs[0] is not output:
            break
        output = step.output
    return output
