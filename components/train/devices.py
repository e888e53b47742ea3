"""The devices that a training runs on, the precision they compute in, and what to do when their memory runs out."""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import tensorflow as tf

from components.train.settings import TrainSettings
from petalflow import accelerators
from petalflow.errors import PetalflowError, UsageError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Devices:
    """What a training runs on.

    Attributes:
        strategy: TensorFlow's distribution strategy, in whose scope variables are created.
        compiled: True if XLA compiles the steps.
        whole_batches: True if every batch must have the same size.
        policy: Keras' dtype policy while training: "float32" or "mixed_bfloat16".
        kind: "cpu", "gpu", "mirrored" or "tpu".
    """

    strategy: tf.distribute.Strategy
    compiled: bool
    whole_batches: bool
    policy: str
    kind: str = "cpu"

    @property
    def names(self) -> str:
        """TensorFlow's names of the devices."""
        if self.kind == "tpu":
            return f"TPU ({self.count} cores)"
        found = _mirrored() if self.kind == "mirrored" else _mirrored()[:1]
        return ", ".join(device.name.partition("device:")[2] for device in found)

    @property
    def precision(self) -> str:
        """The precision of the computation; variables are always float32."""
        return "bfloat16" if self.policy == "mixed_bfloat16" else "float32"

    @property
    def count(self) -> int:
        """The number of devices that share a batch."""
        return int(self.strategy.num_replicas_in_sync)


def choose_devices(settings: TrainSettings) -> Devices:
    """Returns the devices to train on, and logs them with the resulting batch size and learning rate.

    Raises:
        UsageError: If several machines are configured, or the CPU is asked for and this process already uses a GPU.
        PetalflowError: If the TPU that is asked for is not available.
    """
    _refuse_several_workers()
    if settings.strategy == "cpu":
        _hide_gpus()
    kind = _kind() if settings.strategy == "auto" else settings.strategy
    devices = Devices(
        strategy=_strategy(kind),
        compiled=kind == "tpu",
        whole_batches=kind in ("tpu", "mirrored"),
        policy=_policy(settings, kind),
        kind=kind,
    )
    _log(devices, settings)
    return devices


@contextlib.contextmanager
def dtype_policy(policy: str) -> Iterator[None]:
    """Sets Keras' dtype policy for networks that are built in the block; variables are float32 in every policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _kind() -> str:
    if problem := accelerators.find_problem():
        log.warning("%s; training on the CPU", problem)
    if tf.config.list_logical_devices("TPU"):
        return "tpu"
    gpus = len(tf.config.list_logical_devices("GPU"))
    return "mirrored" if gpus > 1 else "gpu" if gpus else "cpu"


def _strategy(kind: str) -> tf.distribute.Strategy:
    if kind == "tpu":
        if problem := accelerators.find_tpu_problem():
            raise PetalflowError(f"train.strategy=tpu: {problem}")
        return tf.distribute.TPUStrategy(tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local"))
    if kind == "mirrored":
        # The devices are named, since TensorFlow would take a TF_CONFIG of one worker for a cluster.
        return tf.distribute.MirroredStrategy([device.name for device in _mirrored()])
    # One device needs no strategy; OneDeviceStrategy passes each batch through a generator.
    return tf.distribute.get_strategy()


def _mirrored() -> list[tf.config.LogicalDevice]:
    found: list[tf.config.LogicalDevice] = tf.config.list_logical_devices("GPU")
    return found or list(tf.config.list_logical_devices("CPU"))


def _policy(settings: TrainSettings, kind: str) -> str:
    fast = kind == "tpu" or _gpus_compute_bfloat16()
    precision = ("bfloat16" if fast else "float32") if settings.precision == "auto" else settings.precision
    return "mixed_bfloat16" if precision == "bfloat16" else "float32"


def _gpus_compute_bfloat16() -> bool:
    # NVIDIA GPUs do since Ampere; a T4 or V100 has no bfloat16 convolutions.
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.get_visible_devices("GPU")]
    return bool(details) and all(one.get("compute_capability", (8, 0)) >= (8, 0) for one in details)


def _hide_gpus() -> None:
    if tf.config.get_visible_devices("GPU"):
        try:
            tf.config.set_visible_devices([], "GPU")
        except RuntimeError:
            raise UsageError("train.strategy=cpu: this process already uses a GPU; start a new process") from None


def _log(devices: Devices, settings: TrainSettings) -> None:
    log.info(
        "training on %s, in %s, steps %s: batches of %s images, learning rate %s",
        devices.names,
        devices.precision,
        "compiled by XLA" if devices.compiled else "not compiled",
        _per_device(devices.count, settings.batch_size),
        _per_device(devices.count, settings.learning_rate),
    )


def _per_device(devices: int, each: float) -> str:
    return f"{devices} × {each:g} = {devices * each:g}" if devices > 1 else f"{each:g}"


def _refuse_several_workers() -> None:
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        workers = sum(len(cluster.get(job, [])) for job in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError):
        raise UsageError("TF_CONFIG is not a JSON object with a cluster; unset it") from None
    if workers > 1:
        raise UsageError(
            f"TF_CONFIG names {workers} workers, but Keras 3 cannot train on several machines "
            "(keras-team/keras#20585); unset it, and train on one machine with several GPUs or a TPU"
        )


@contextlib.contextmanager
def explain_out_of_memory(settings: TrainSettings) -> Iterator[None]:
    """Turns running out of memory in the block into one line that names what to try.

    Raises:
        PetalflowError: If the block runs out of memory.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise PetalflowError(
            f"out of memory for {settings.backbone} or its input at any train.batch_size; try "
            f"train.image_size_px={settings.size_px // 2}, fewer train.hidden_units, or a smaller train.cache_mib"
        ) from error


def describe_out_of_memory(settings: TrainSettings, devices: Devices) -> str:
    """Returns the message for a batch that does not fit into memory, with the next size to try."""
    size = settings.batch_size
    remedy = f"try train.batch_size={size // 2}" if size > 1 else "try a smaller train.image_size_px"
    each = " on each device" if devices.count > 1 else ""
    return f"out of memory with train.batch_size={size}{each} at train.image_size_px={settings.size_px}; {remedy}"
