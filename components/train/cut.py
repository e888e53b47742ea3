"""Where a backbone is cut in two, so that what lies below is computed once."""

from dataclasses import dataclass

import keras

from petalflow.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Cut:
    """A backbone in two parts that give, one after the other, what it gives.

    Attributes:
        below: Its input to the map at the cut; nothing in it is trained.
        above: That map to its output; shares the backbone's layers.
        layer: Name of the layer whose output the map is.
    """

    below: keras.Model
    above: keras.Model
    layer: str


def first_trained(backbone: keras.Model, layers: int | float | str) -> int:
    """Returns the index of the first layer to train.

    Args:
        backbone: Its layers, in the order in which they compute.
        layers: How many of the last, what share of them (a fraction up to 1), or the name of the first.

    Raises:
        UsageError: If there are not so many, or none of this name.
    """
    total = len(backbone.layers)
    if isinstance(layers, str):
        names = [layer.name for layer in backbone.layers]
        if layers not in names:
            nearest = did_you_mean(layers, names)
            raise UsageError(f"train.fine_tune.layers={layers!r}: {backbone.name} has no such layer; {nearest}")
        return names.index(layers)
    count = round(layers * total) if isinstance(layers, float) and layers <= 1 else layers
    if not 1 <= count <= total or count != int(count):
        raise UsageError(
            f"train.fine_tune.layers={layers!r}: {backbone.name} has {total} layers; give 1 to {total}, or a share"
        )
    return total - int(count)


def thaw(backbone: keras.Model, first: int) -> None:
    """Makes the layers from one on trainable, but for BatchNormalization, whose statistics stay ImageNet's."""
    backbone.trainable = True
    for index, layer in enumerate(backbone.layers):
        layer.trainable = index >= first and not isinstance(layer, keras.layers.BatchNormalization)


def still(backbone: keras.Model) -> None:
    """Makes a backbone give the same each time, in training too: what is computed once is what would be each epoch."""
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # Keras calls it in training mode though its model was called in inference mode


def cut_below(backbone: keras.Model, first: int) -> Cut | None:
    """Returns the cut nearest below a layer where a single map passes, or None if there is none but the input."""
    layers = backbone.layers
    place = {id(layer): index for index, layer in enumerate(layers)}
    # Index of a layer -> that of the last layer that reads its output.
    last_read = {index: index for index in range(len(layers))}
    for index, layer in enumerate(layers):
        for node in layer._inbound_nodes:
            for parent in node.parent_nodes:
                at = place.get(id(parent.operation))
                if at is not None:
                    last_read[at] = max(last_read[at], index)
    for at in range(first - 1, 0, -1):
        if all(last_read[index] <= at for index in range(at)):
            output = layers[at].output
            return Cut(keras.Model(backbone.input, output), keras.Model(output, backbone.output), layers[at].name)
    return None
