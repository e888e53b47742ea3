"""BatchNormalization of a frozen network worked into the convolutions before it: the same numbers by fewer steps."""

from typing import Any

import keras
import numpy as np
from keras import layers


def merged(model: keras.Model) -> keras.Model:
    """Returns a network that gives in inference what a network gives, without the normalizations that can be merged.

    A normalization in inference multiplies and adds by channel, which the kernel and the bias of the convolution before
    it can do as well. Merged are those that alone read a convolution without activation.

    Args:
        model: A functional one; not changed.
    """
    into = _normalizations(model)
    gone = {normalization.name for normalization in into.values()}

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Sequential):
            return layer  # of no backbone that has what could be merged in it
        if isinstance(layer, keras.Model):
            return merged(layer)
        return type(layer).from_config({**layer.get_config(), **({"use_bias": True} if layer.name in into else {})})

    def called(layer: keras.layers.Layer, *inputs: Any, **options: Any) -> Any:
        return inputs[0] if layer.name in gone else layer(*inputs, **options)

    copy = keras.models.clone_model(model, clone_function=copied, call_function=called)
    originals = {layer.name: layer for layer in model.layers}
    for layer in copy.layers:
        if layer.name in into:
            layer.set_weights(_product(originals[layer.name], into[layer.name]))
        elif layer.weights and not isinstance(layer, keras.Model):
            layer.set_weights(originals[layer.name].get_weights())
    return copy


def _normalizations(model: keras.Model) -> dict[str, layers.BatchNormalization]:
    """Returns the normalizations to merge, by the name of the convolution before each."""
    found = {}
    for layer in model.layers:
        if not isinstance(layer, layers.BatchNormalization) or len(layer._inbound_nodes) != 1:
            continue
        (tensor,) = layer._inbound_nodes[0].input_tensors
        before = tensor._keras_history.operation
        if (
            type(before) in (layers.Conv2D, layers.DepthwiseConv2D)
            and len(before._inbound_nodes) == len(before._outbound_nodes) == 1
            and before.activation is keras.activations.linear
            and all(tensor is not output for output in model.outputs)
        ):
            found[before.name] = layer
    return found


def _product(convolution: layers.Layer, normalization: layers.BatchNormalization) -> list[np.ndarray[Any, Any]]:
    """Returns kernel and bias of both in one."""
    kernel, *bias = convolution.get_weights()
    scale = 1 / np.sqrt(np.asarray(normalization.moving_variance) + normalization.epsilon)
    if normalization.scale:
        scale = scale * np.asarray(normalization.gamma)
    shift = (bias[0] if bias else 0) - np.asarray(normalization.moving_mean)
    shift = shift * scale + (np.asarray(normalization.beta) if normalization.center else 0)
    # A kernel is [height, width, in, out], or [height, width, in, multiplier], which makes in × multiplier outputs.
    by_channel = scale.reshape(kernel.shape[2:]) if isinstance(convolution, layers.DepthwiseConv2D) else scale
    return [kernel * by_channel, shift]
