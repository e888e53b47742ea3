"""The devices that TensorFlow computes on; `python -m petalflow.accelerators` prints them in one line.

It exits with code 1 if TensorFlow is built for an accelerator that this machine does not have. Nothing here imports
TensorFlow at module level: the environment must be prepared before its TPU build is imported.
"""

import os
from importlib.util import find_spec
from pathlib import Path

_TPU_DEVICES = ("accel[0-9]*", "vfio/[0-9]*")  # up to TPU v4; later TPUs


def tpu_attached() -> bool:
    """Returns True if this machine has a device file that may be a TPU's."""
    return any(True for pattern in _TPU_DEVICES for _ in Path("/dev").glob(pattern))


def prepare_import() -> None:
    """Prepares the environment for importing TensorFlow's TPU build on a machine without a TPU.

    On import, libtpu asks the cloud's metadata server which TPU it runs on; outside a cloud it keeps asking for more
    than ten minutes. With a TPU attached, it must ask.
    """
    if not tpu_attached():
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")


def find_problem() -> str | None:
    """Returns why the accelerator that this TensorFlow is built for cannot be used, or None."""
    if find_spec("libtpu"):
        return _start_tpu()
    import tensorflow as tf

    if tf.test.is_built_with_cuda() and not tf.config.list_physical_devices("GPU"):
        return "TensorFlow finds no GPU; start the container with one (--gpus all), or use the cpu container image"
    return None


def find_tpu_problem() -> str | None:
    """Returns why no TPU can be used, or None; an attached TPU is initialized."""
    if not find_spec("libtpu"):
        return (
            "this TensorFlow is not built for TPUs; install '.[tpu]' in its own environment, or use the tpu container "
            "image"
        )
    return _start_tpu()


def describe_devices() -> str:
    """Returns the devices that TensorFlow computes on, such as "GPU:0, GPU:1"."""
    import tensorflow as tf

    found = [device for kind in ("TPU", "GPU") for device in tf.config.list_logical_devices(kind)]
    names = [device.name.partition("device:")[2] for device in found or tf.config.list_logical_devices("CPU")]
    return ", ".join(names)


def _start_tpu() -> str | None:
    if not tpu_attached():
        return (
            "no TPU found: this machine has no device /dev/accel* or /dev/vfio/*; use a machine with a TPU, or the cpu "
            "container image"
        )
    import tensorflow as tf

    try:
        tf.tpu.experimental.initialize_tpu_system(tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local"))
    except (tf.errors.OpError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return f"no TPU found: TensorFlow cannot start it ({lines[-1] if lines else type(error).__name__})"
    return None


if __name__ == "__main__":
    problem = find_problem()
    print(problem or f"TensorFlow computes on {describe_devices()}")
    raise SystemExit(problem is not None)
