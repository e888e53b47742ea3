"""A network's layers, those of the models inside it too, on one graph."""

from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Step:
    """A layer where it is called.

    Attributes:
        layer: The model's own, with its weights.
        inputs: What it reads.
        output: What it gives.
    """

    layer: keras.Layer
    inputs: tuple[keras.KerasTensor, ...]
    output: keras.KerasTensor

    @property
    def is_convolution(self) -> bool:
        """Whether it looks at a pixel's neighbours; a 1×1 convolution mixes channels and sees no more than a pixel."""
        return max(getattr(self.layer, "kernel_size", (1,))) > 1

    @property
    def is_pooling(self) -> bool:
        """Whether it makes a smaller map of a map; global pooling makes a row of numbers."""
        return hasattr(self.layer, "pool_size")

    @property
    def is_map(self) -> bool:
        """Whether it gives a map [batch, height, width, channels] of more than one place."""
        return len(self.output.shape) == 4 and min(self.output.shape[1:3]) > 1


@dataclass(frozen=True)
class Unnested:
    """A model without models inside.

    Attributes:
        input: Images [batch, size, size, 3] of 0..255.
        steps: All layers, in the order in which they compute; the last gives the model's output.
    """

    input: keras.KerasTensor
    steps: tuple[Step, ...]


def unnested(model: keras.Model) -> Unnested:
    """Returns the layers of a model and of the models inside it, so that any output can be had from the input.

    Keras keeps what is inside a nested model apart: its layers' outputs do not depend on the outer input.

    Args:
        model: Functional, of one input and one output; so are those inside, or Sequential.
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
            return steps[-1].output  # nothing is called after the layer that gives a model's only output
        output = layer(*args, **kwargs)
        read = keras.tree.flatten([args, kwargs])
        steps.append(Step(layer, tuple(x for x in read if isinstance(x, keras.KerasTensor)), output))
        return output

    return Unnested(_walk(model, call, None).input, tuple(steps))


def _walk(model: keras.Model, call: Any, inputs: keras.KerasTensor | None) -> keras.Model:
    return keras.models.clone_model(model, inputs, clone_function=lambda layer: layer, call_function=call)
