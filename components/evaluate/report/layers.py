"""A network as one flat graph of layers, including the layers of nested models."""

from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Step:
    """A call of a layer.

    Attributes:
        layer: The layer of the model, with its weights.
        inputs: Its input tensors.
        output: Its output tensor.
    """

    layer: keras.Layer
    inputs: tuple[keras.KerasTensor, ...]
    output: keras.KerasTensor

    @property
    def is_convolution(self) -> bool:
        """True for a convolution larger than 1×1, which only mixes the channels of a pixel."""
        return max(getattr(self.layer, "kernel_size", (1,))) > 1

    @property
    def is_pooling(self) -> bool:
        """True for pooling that returns a map; global pooling returns a vector."""
        return hasattr(self.layer, "pool_size")

    @property
    def is_map(self) -> bool:
        """True if the output is a map [batch, height, width, channels] larger than 1×1."""
        return len(self.output.shape) == 4 and min(self.output.shape[1:3]) > 1


@dataclass(frozen=True)
class Unnested:
    """A model without nested models.

    Attributes:
        input: Images [batch, size, size, 3], 0..255.
        steps: All layer calls in order of computation; the last returns the model's output.
    """

    input: keras.KerasTensor
    steps: tuple[Step, ...]


def unnested(model: keras.Model) -> Unnested:
    """Returns a model and its nested models as one graph, so that any layer's output can be computed from the input.

    In Keras, the outputs of layers in a nested model do not depend on the outer input.

    Args:
        model: A functional model with one input and one output; nested models are the same, or Sequential.
    """
    steps: list[Step] = []

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, keras.Sequential):
            x = args[0]
            for inner in layer.layers:
                x = call(inner, x)
            return x
        if isinstance(layer, keras.Model):
            _walk(layer, call, args[0])
            return steps[-1].output  # the last layer called returns the model's only output
        output = layer(*args, **kwargs)
        read = keras.tree.flatten([args, kwargs])
        steps.append(Step(layer, tuple(x for x in read if isinstance(x, keras.KerasTensor)), output))
        return output

    return Unnested(_walk(model, call, None).input, tuple(steps))


def _walk(model: keras.Model, call: Any, inputs: keras.KerasTensor | None) -> keras.Model:
    return keras.models.clone_model(model, inputs, clone_function=lambda layer: layer, call_function=call)
