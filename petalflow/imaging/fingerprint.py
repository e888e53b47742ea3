"""A hash of everything that determines how an image is prepared: this package's code, and the libraries it calls."""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import PIL
from PIL import features

# Pillow's names of the libraries that decode, encode and convert colours.
_LIBRARIES = ("jpg", "libjpeg_turbo", "jpg_2000", "zlib", "zlib_ng", "libtiff", "webp", "avif", "littlecms2")


@cache
def fingerprint() -> str:
    """Returns a hash that is equal only where `prepare` returns the same for a file.

    It covers the code of this package and the versions of Pillow, NumPy and the libraries that Pillow was built with;
    an image prepared under another fingerprint may differ.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(f"{source.name}\0".encode() + source.read_bytes() + b"\0")
    for name, version in versions().items():
        digest.update(f"{name}={version}\n".encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Returns library name -> version; "" for a library that Pillow was built without."""
    libraries = {name: features.version(name) or "" for name in _LIBRARIES}
    return {"pillow": PIL.__version__, "numpy": np.__version__, **libraries}
