"""Whether a TPU is attached to this machine. No TensorFlow here: importing the one made for TPUs is what asks."""

import os
from pathlib import Path

_DEVICES = ("accel[0-9]*", "vfio/[0-9]*")  # of TPUs up to v4, of later ones


def attached() -> bool:
    """Returns whether this machine has what may be a TPU."""
    return any(True for pattern in _DEVICES for _ in Path("/dev").glob(pattern))


def before_tensorflow() -> None:
    """Lets TensorFlow's build for TPUs be imported where there is none.

    It asks the cloud's metadata server what TPU it is on, and outside a cloud it goes on asking for
    more than ten minutes. Where a TPU is attached it must ask.
    """
    if not attached():
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
