"""HEIC and HEIF photos, which Pillow reads with the library of an extra."""

import functools
import importlib

EXTRA = "heic"
_LIBRARY = "pi_heif"


@functools.cache
def can_read_heif() -> bool:
    """Returns True if the library is installed; Pillow opens such files from then on."""
    try:
        importlib.import_module(_LIBRARY).register_heif_opener()
    except ImportError:
        return False
    return True
