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


def fold_batch_norms(model: keras.Model) -> keras.Model:
    """Returns a network with the same outputs in inference, but without the BatchNormalizations that can be folded.

    In inference, BatchNormalization scales and shifts each channel, which the kernel and bias of the convolution before
    it can do. It is folded if it is the only reader of a convolution without activation.

    Args:
        model: A functional model; not changed.
    """
    foldable = _find_foldable(model)
    folded = {normalization.name for normalization in foldable.values()}

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Sequential):
            return layer  # no backbone has a Sequential with a BatchNormalization
        if isinstance(layer, keras.Model):
            return fold_batch_norms(layer)
        return type(layer).from_config({**layer.get_config(), **({"use_bias": True} if layer.name in foldable else {})})

    def called(layer: keras.layers.Layer, *inputs: Any, **options: Any) -> Any:
        return inputs[0] if layer.name in folded else layer(*inputs, **options)

    copy = keras.models.clone_model(model, clone_function=copied, call_function=called)
    originals = {layer.name: layer for layer in model.layers}
    for layer in copy.layers:
        if layer.name in foldable:
            layer.set_weights(_fold(originals[layer.name], foldable[layer.name]))
        elif layer.weights and not isinstance(layer, keras.Model):
            layer.set_weights(originals[layer.name].get_weights())
    return copy


def _find_foldable(model: keras.Model) -> dict[str, layers.BatchNormalization]:
    """Returns the normalizations that can be folded, by the name of the convolution before each."""
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


def _fold(convolution: layers.Layer, normalization: layers.BatchNormalization) -> list[np.ndarray[Any, Any]]:
    """Returns the kernel and bias that do what both layers do."""
    kernel, *bias = convolution.get_weights()
    scale = 1 / np.sqrt(np.asarray(normalization.moving_variance) + normalization.epsilon)
    if normalization.scale:
        scale = scale * np.asarray(normalization.gamma)
    shift = (bias[0] if bias else 0) - np.asarray(normalization.moving_mean)
    shift = shift * scale + (np.asarray(normalization.beta) if normalization.center else 0)
    # A kernel is [height, width, in, out]; a depthwise one [height, width, in, multiplier], of in × multiplier outputs.
    by_channel = scale.reshape(kernel.shape[2:]) if isinstance(convolution, layers.DepthwiseConv2D) else scale
    return [kernel * by_channel, shift]


# Images per call and device: what fits into a CPU's caches, and what keeps a GPU or TPU busy.
_CPU_BATCH, _BATCH = 32, 128
_ONEDNN_BFLOAT16 = "auto_mixed_precision_onednn_bfloat16"


@dataclass(frozen=True)
class ForwardPass:
    """The forward pass of a frozen network.

    Attributes:
        batch: Images per call; the last call may have fewer.
        how: How it computes, for people.
    """

    batch: int
    how: str
    _run: Callable[[tf.Tensor], tf.Tensor]

    def __call__(self, images: tf.Tensor) -> NDArray[np.float32]:
        """Returns the network's outputs, float32 [n, ...].

        Args:
            images: uint8 [n, height, width, 3], n from 1 to `batch`.
        """
        count = len(images)
        padded = tf.pad(images, [[0, self.batch - count], [0, 0], [0, 0], [0, 0]]) if count < self.batch else images
        values: NDArray[np.float32] = self._run(padded).numpy()[:count]
        return values


@contextlib.contextmanager
def fast_forward(frozen: keras.Model, devices: Devices, *, exact: bool = False) -> Iterator[ForwardPass]:
    """Yields the forward pass of a network, valid in the block.

    Args:
        frozen: From images of 0..255 to feature maps or features; its weights must not change in the block.
        devices: What computes.
        exact: True to multiply in float32 only.
    """
    on_cpu = not devices.compiled and not tf.config.list_logical_devices("GPU")
    if on_cpu and can_freeze(frozen.count_params()):
        rounded = not exact and cpu_has_bfloat16()
        how = "a frozen graph, oneDNN bfloat16" if rounded else "a frozen graph"
        with onednn_bfloat16() if rounded else contextlib.nullcontext():
            yield ForwardPass(_CPU_BATCH, how, frozen_forward(frozen, _CPU_BATCH))
    else:
        batch = devices.count * (_CPU_BATCH if on_cpu else _BATCH)
        yield ForwardPass(
            batch, f"{devices.count} device(s), {batch} images per call", distributed_forward(frozen, devices)
        )


def cpu_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Returns True if this CPU has bfloat16 instructions; without them, bfloat16 is both slower and less exact."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:  # not Linux
        return False
    return any({"amx_bf16", "avx512_bf16"} & {*line.split()} for line in lines if line.startswith("flags"))


@contextlib.contextmanager
def onednn_bfloat16() -> Iterator[None]:
    """Lets oneDNN multiply in bfloat16 in the block, in the whole process."""
    before = tf.config.optimizer.get_experimental_options().get(_ONEDNN_BFLOAT16, False)
    tf.config.optimizer.set_experimental_options({_ONEDNN_BFLOAT16: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_ONEDNN_BFLOAT16: before})


def frozen_forward(frozen: keras.Model, batch: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a network as a frozen graph of a fixed batch size."""
    images = tf.TensorSpec([batch, *frozen.input_shape[1:]], tf.uint8)
    function = tf.function(_as_function(fold_batch_norms(frozen)), input_signature=[images], autograph=False)
    constant = freeze(function.get_concrete_function())
    return lambda images: constant(images)[0]


def distributed_forward(frozen: keras.Model, devices: Devices) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a network that all devices compute, each on its part of the images."""
    strategy = devices.strategy
    compute = tf.function(_as_function(frozen), jit_compile=True) if devices.compiled else _as_function(frozen)

    def run(images: tf.Tensor) -> tf.Tensor:
        parts = tf.split(images, devices.count)
        part = strategy.experimental_distribute_values_from_function(lambda at: parts[at.replica_id_in_sync_group])
        return tf.concat(strategy.experimental_local_results(strategy.run(compute, args=(part,))), axis=0)

    function: Callable[[tf.Tensor], tf.Tensor] = tf.function(run, autograph=False)
    return function


def _as_function(frozen: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    def compute(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(frozen(tf.cast(images, tf.float32), training=False), tf.float32)

    return compute
