"""The fast forward pass of a frozen network: normalizations folded into convolutions, variables into constants."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from components.train.devices import Devices
from petalflow.model.freezing import can_freeze, freeze

log = logging.getLogger(__name__)


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


# Images a call, on each device: what a CPU's caches hold, and what keeps a GPU or TPU busy.
_CPU_BATCH, _BATCH = 32, 128
_ONEDNN_BFLOAT16 = "auto_mixed_precision_onednn_bfloat16"


@dataclass(frozen=True)
class Forward:
    """A frozen network's forward pass.

    Attributes:
        batch: Images a call; the last may have fewer.
        how: How it computes, for people.
    """

    batch: int
    how: str
    _run: Callable[[tf.Tensor], tf.Tensor]

    def __call__(self, images: tf.Tensor) -> NDArray[np.float32]:
        """Returns what the network gives, float32 [n, ...].

        Args:
            images: uint8 [n, height, width, 3], n from 1 to `batch`.
        """
        count = len(images)
        filled = tf.pad(images, [[0, self.batch - count], [0, 0], [0, 0], [0, 0]]) if count < self.batch else images
        values: NDArray[np.float32] = self._run(filled).numpy()[:count]
        return values


@contextlib.contextmanager
def fast_forward(frozen: keras.Model, devices: Devices, *, exact: bool = False) -> Iterator[Forward]:
    """Gives the forward pass of a network, to be used in the block.

    Args:
        frozen: Images of 0..255 to maps or features; its weights must not change in the block.
        devices: What computes.
        exact: Whether products must be of float32.
    """
    on_cpu = not devices.compiled and not tf.config.list_logical_devices("GPU")
    if on_cpu and can_freeze(frozen.count_params()):
        rounded = not exact and multiplies_bfloat16()
        how = "folded graph, oneDNN bfloat16" if rounded else "folded graph"
        with onednn_bfloat16() if rounded else contextlib.nullcontext():
            yield Forward(_CPU_BATCH, how, folded(frozen, _CPU_BATCH))
    else:
        batch = devices.count * (_CPU_BATCH if on_cpu else _BATCH)
        yield Forward(batch, f"{devices.count} device(s), {batch} images a call", shared(frozen, devices))


def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tells whether this CPU has instructions for bfloat16, without which it would lose time and exactness alike."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:  # not Linux
        return False
    return any({"amx_bf16", "avx512_bf16"} & {*line.split()} for line in lines if line.startswith("flags"))


@contextlib.contextmanager
def onednn_bfloat16() -> Iterator[None]:
    """Lets oneDNN multiply in bfloat16 all that this process computes in the block."""
    before = tf.config.optimizer.get_experimental_options().get(_ONEDNN_BFLOAT16, False)
    tf.config.optimizer.set_experimental_options({_ONEDNN_BFLOAT16: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_ONEDNN_BFLOAT16: before})


def folded(frozen: keras.Model, batch: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a network with its variables as constants, which TensorFlow can work into each other beforehand."""
    images = tf.TensorSpec([batch, *frozen.input_shape[1:]], tf.uint8)
    function = tf.function(_computing(merged(frozen)), input_signature=[images], autograph=False)
    constant = freeze(function.get_concrete_function())
    return lambda images: constant(images)[0]


def shared(frozen: keras.Model, devices: Devices) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a network that all devices compute, each a part of the images."""
    strategy = devices.strategy
    compute = tf.function(_computing(frozen), jit_compile=True) if devices.compiled else _computing(frozen)

    def run(images: tf.Tensor) -> tf.Tensor:
        parts = tf.split(images, devices.count)
        mine = strategy.experimental_distribute_values_from_function(lambda at: parts[at.replica_id_in_sync_group])
        return tf.concat(strategy.experimental_local_results(strategy.run(compute, args=(mine,))), axis=0)

    function: Callable[[tf.Tensor], tf.Tensor] = tf.function(run, autograph=False)
    return function


def _computing(frozen: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    def compute(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(frozen(tf.cast(images, tf.float32), training=False), tf.float32)

    return compute
