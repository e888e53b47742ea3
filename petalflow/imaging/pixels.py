"""Any of Pillow's modes as 8-bit sRGB."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from petalflow.imaging.colour import to_srgb

_GREY_MODES = ("1", "L", "LA", "La")
# What white is in 32-bit pixels: 1 of floats only, then as in 8 and in 16 bits.
_FLOAT_WHITES = (1.0, 255.0, 65_535.0)
_INTEGER_WHITES = (255.0, 65_535.0)


def as_srgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Returns an image as 8-bit sRGB, laid over a colour where it is transparent.

    Args:
        image: Of any mode, with its pixels loaded.
        background: RGB, 0..255.
    """
    profile = image.info.get("icc_profile")
    if image.mode.startswith(("I", "F")):
        colours, alpha = _deep(image)
    elif image.has_transparency_data:
        # Of grey with its alpha multiplied in, Pillow knows one way only.
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        colours, alpha = rgba.convert("L" if image.mode in _GREY_MODES else "RGB"), rgba.getchannel("A")
    else:
        colours, alpha = image, None
        if image.mode == "1":
            colours = image.convert("L")
        elif image.mode not in ("L", "RGB", "CMYK", "LAB"):
            colours = image.convert("RGB")
    seen = to_srgb(colours, profile)
    if alpha is not None:
        seen = Image.composite(seen, Image.new("RGB", seen.size, background), alpha)
    seen.info = {}  # of the file's metadata nothing is true of the new pixels
    return seen


def _deep(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Returns 8-bit grey of deeper pixels, and where they are opaque."""
    values = np.asarray(image)
    # The upper half of 16 bits, as Pillow takes it of 16-bit colour: equal values stay equal in every image.
    eight_bit = (values >> 8).astype(np.uint8) if image.mode.startswith("I;16") else _scaled(values)
    key = image.info.get("transparency")
    alpha = None if key is None else Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
    return Image.fromarray(eight_bit), alpha


def _scaled(values: NDArray[np.int32] | NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns 32-bit values as 8 bits.

    Nothing in such a file says what is white. The smallest usual range that holds all values
    decides, so that images of one kind come out alike; else darkest and brightest do.
    """
    finite = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
    low, high = float(finite.min()), float(finite.max())
    usual = _FLOAT_WHITES if values.dtype.kind == "f" else _INTEGER_WHITES
    white = next((white for white in usual if low >= 0 and high <= white), None)
    if white is None:
        finite, white = finite - low, (high - low) or 1.0
    if white == usual[-1]:
        return (finite.astype(np.uint16) >> 8).astype(np.uint8)  # as of 16-bit pixels
    return (finite * (255.0 / white)).round().astype(np.uint8)
