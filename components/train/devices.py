"""What a training runs on: the CPU, several devices that mirror each other, or a TPU."""

import json
import logging
import os
from dataclasses import dataclass

import tensorflow as tf

from components.train.settings import TrainSettings
from petalflow import accelerators
from petalflow.errors import PetalflowError, UsageError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Devices:
    """What a training runs on.

    Attributes:
        strategy: TensorFlow's, under whose scope variables are made.
        compiled: Whether steps are compiled by XLA.
        whole_batches: Whether every batch must have the same size.
        policy: Keras' dtype policy while training: "float32" or "mixed_bfloat16".
    """

    strategy: tf.distribute.Strategy
    compiled: bool
    whole_batches: bool
    policy: str

    @property
    def count(self) -> int:
        """How many devices share a batch."""
        return int(self.strategy.num_replicas_in_sync)


def choose_devices(settings: TrainSettings) -> Devices:
    """Returns what to train on, and logs it with the batch and the learning rate that follow.

    Raises:
        UsageError: If several machines are asked for.
        PetalflowError: If the TPU that is asked for cannot be had.
    """
    _refuse_several_workers()
    missing = accelerators.missing()
    if missing and settings.strategy in ("auto", "cpu"):
        log.warning("%s; training on the CPU", missing)
    if settings.strategy == "cpu":
        tf.config.set_visible_devices([], "GPU")
    kind = _kind(settings)
    if kind == "tpu":
        if missing:
            raise PetalflowError(f"train.strategy=tpu: {missing}")
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
        strategy: tf.distribute.Strategy = tf.distribute.TPUStrategy(resolver)
    elif kind == "mirrored":
        strategy = tf.distribute.MirroredStrategy()
    else:
        # One device needs no strategy; OneDeviceStrategy would hand each batch over in a generator.
        strategy = tf.distribute.get_strategy()
    on_cpu = (not tf.config.list_logical_devices("GPU") and kind != "tpu") or kind == "cpu"
    precision = ("float32" if on_cpu else "bfloat16") if settings.precision == "auto" else settings.precision
    devices = Devices(
        strategy=strategy,
        compiled=kind == "tpu",
        whole_batches=kind in ("tpu", "mirrored"),
        policy="mixed_bfloat16" if precision == "bfloat16" else "float32",
    )
    if devices.count > 1:
        log.info(
            "%d devices: batches of %d × %d = %d images, learning rate %g × %d",
            devices.count,
            devices.count,
            settings.batch_size,
            devices.count * settings.batch_size,
            settings.learning_rate,
            devices.count,
        )
    return devices


def _kind(settings: TrainSettings) -> str:
    if settings.strategy != "auto":
        return settings.strategy
    if tf.config.list_logical_devices("TPU"):
        return "tpu"
    gpus = len(tf.config.list_logical_devices("GPU"))
    return "mirrored" if gpus > 1 else "gpu" if gpus else "cpu"


def _refuse_several_workers() -> None:
    try:
        workers = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {}).get("worker", [])
    except (ValueError, AttributeError):
        raise UsageError("TF_CONFIG is no JSON object with a cluster; unset it") from None
    if len(workers) > 1:
        raise UsageError(
            f"TF_CONFIG names {len(workers)} workers, and Keras 3 cannot train on several machines "
            "(keras-team/keras#20585); unset it, and train on one machine with several GPUs or a TPU"
        )
