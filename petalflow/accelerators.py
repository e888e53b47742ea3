"""What TensorFlow computes on. `python -m petalflow.accelerators` says it in one line.

It ends with exit code 1 where TensorFlow is built for an accelerator that is not there.
"""

from importlib.util import find_spec

from petalflow import tpu


def missing() -> str | None:
    """Returns why the accelerator that this TensorFlow is built for cannot be used, or None."""
    if find_spec("libtpu"):
        return _missing_tpu()
    import tensorflow as tf

    if tf.test.is_built_with_cuda() and not tf.config.list_physical_devices("GPU"):
        return "no GPU is there: TensorFlow sees none; start the container with one (--gpus all), or take the image cpu"
    return None


def missing_tpu() -> str | None:
    """Returns why there is no TPU to compute on, or None; one that is there is started."""
    if not find_spec("libtpu"):
        return "this TensorFlow is not built for TPUs; install '.[tpu]' where it is alone, or take the image tpu"
    return _missing_tpu()


def devices() -> str:
    """Returns the devices that TensorFlow computes on, like "GPU:0, GPU:1"."""
    import tensorflow as tf

    found = [device for kind in ("TPU", "GPU") for device in tf.config.list_logical_devices(kind)]
    names = [device.name.partition("device:")[2] for device in found or tf.config.list_logical_devices("CPU")]
    return ", ".join(names)


def _missing_tpu() -> str | None:
    if not tpu.attached():
        return "no TPU is there: no device /dev/accel* or /dev/vfio/*; run on a machine with one, or take the image cpu"
    import tensorflow as tf

    try:
        tf.tpu.experimental.initialize_tpu_system(tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local"))
    except (tf.errors.OpError, ValueError) as error:
        why = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
        return f"no TPU is there: TensorFlow cannot start it ({why.strip()})"
    return None


if __name__ == "__main__":
    problem = missing()
    print(problem or f"TensorFlow computes on {devices()}")
    raise SystemExit(problem is not None)
