"""The ImageNet weights that Keras publishes: the file of a backbone, and whether it can be had now.

Neither TensorFlow nor Keras is imported: a missing file is reported in seconds, before anything else is done.
"""

import os
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

_SERVER = "https://storage.googleapis.com/tensorflow/keras-applications"
# The sizes that MobileNetV2 was trained at, in pixels, each with a file of its own
# (keras/src/applications/mobilenet_v2.py).
MOBILENET_SIZES_PX = (96, 128, 160, 192, 224)
_PATIENCE_S = 3.0


def weights_url(backbone: str, image_size_px: int) -> str:
    """Returns where the weights of a backbone without top are published.

    Args:
        backbone: A name in keras.applications.
        image_size_px: Height and width of the input; MobileNetV2 has weights for each of five sizes.

    Returns:
        The address of the file of MobileNetV2; of others, the folder in which Keras looks for it.
    """
    if backbone != "MobileNetV2":
        return f"{_SERVER}/"
    size = image_size_px if image_size_px in MOBILENET_SIZES_PX else MOBILENET_SIZES_PX[-1]
    return f"{_SERVER}/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5"


def why_unavailable(backbone: str, image_size_px: int) -> str:
    """Returns why Keras cannot load the published weights of a backbone, or "".

    It takes at most three seconds: a file that was downloaded before is enough; otherwise the server must answer.

    Args:
        backbone: A name in keras.applications.
        image_size_px: Height and width of the input.
    """
    url = weights_url(backbone, image_size_px)
    if _is_downloaded(backbone, url.rpartition("/")[2]):
        return ""
    if not (problem := _why_unreachable(url)):
        return ""
    return f"the ImageNet weights of {backbone} are not in {downloads()}, and {url} cannot be reached ({problem})"


def downloads() -> Path:
    """Returns the folder in which Keras keeps downloaded weights."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def _is_downloaded(backbone: str, file: str) -> bool:
    if file:
        return (downloads() / file).is_file()
    named = re.compile(rf"{_plain(backbone)}(?!v?[0-9]).*notop")
    return any(named.search(_plain(path.name)) for path in downloads().glob("*.h5"))


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _why_unreachable(url: str) -> str:
    """Returns why a server does not answer, or ""; any answer will do."""
    result = ["no answer within 3 s"]

    def ask() -> None:
        # urllib, since Keras downloads with it, through the same proxies.
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 (always https)
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_S):  # noqa: S310
                result[0] = ""
        except urllib.error.HTTPError as error:
            # A folder is never listed (403, 404), but a file that is not there is a problem.
            result[0] = "" if url.endswith("/") and error.code in (403, 404) else f"HTTP status {error.code}"
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            result[0] = str(getattr(reason, "strerror", None) or reason)

    # In a thread, since a name server that does not answer would block for longer than any timeout of a socket.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PATIENCE_S)
    return result[0]
