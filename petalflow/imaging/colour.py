"""The colours of an image as 8-bit sRGB, whatever its mode, colour profile and transparency."""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

# Colour space of a profile -> mode of the pixels that it is for.
_MODES: Final = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
# A profile counts as sRGB if it moves no colour of the grid by more levels than rounding and common variants do.
_SAME_LEVELS = 2
_GRID_STEPS = 9


@dataclass(frozen=True)
class _Conversion:
    mode: str
    transform: ImageCms.ImageCmsTransform

    def apply(self, image: Image.Image) -> Image.Image:
        return self.transform.apply(image if image.mode == self.mode else image.convert(self.mode))


def needs_conversion(image: Image.Image) -> bool:
    """Returns True if an image's profile gives its values other colours than sRGB does."""
    profile = image.info.get("icc_profile")
    return bool(profile) and _conversion(profile, image.mode) is not None


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Returns an image in sRGB.

    A profile that is broken, meant for another kind of pixels, or sRGB already leaves the values unchanged.

    Args:
        image: An image of mode L, RGB, CMYK or LAB.
        profile: Its ICC profile.

    Returns:
        An RGB image.
    """
    if image.mode == "LAB":
        return _lab().apply(image)
    conversion = _conversion(profile, image.mode) if profile else None
    return conversion.apply(image) if conversion else image.convert("RGB")


@lru_cache(maxsize=64)  # keyed by the profile's bytes: its name can be wrong
def _conversion(profile: bytes, mode: str) -> _Conversion | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        profile_mode = _MODES.get(source.profile.xcolor_space)
        # Grey images may carry an RGB profile; any other mismatch means that the profile is not for these pixels.
        if profile_mode is None or (mode != profile_mode and (mode, profile_mode) != ("L", "RGB")):
            return None
        conversion = _Conversion(profile_mode, _transform(source, profile_mode))
        grid = _grid(mode)
        moved = np.asarray(conversion.apply(grid), np.int16) - np.asarray(grid.convert("RGB"), np.int16)
    except (OSError, ValueError, TypeError):
        return None
    return conversion if mode == "CMYK" or np.abs(moved).max() > _SAME_LEVELS else None


@lru_cache(maxsize=1)
def _lab() -> _Conversion:
    return _Conversion("LAB", _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB"))


def _transform(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    # The default of photo editors: relative colorimetric, with black point compensation.
    # (Profiles of cameras and screens hold one table for all intents; the intent matters for printers' profiles.)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.ImageCmsTransform(source, srgb, mode, "RGB", intent, flags=flags)


def _grid(mode: str) -> Image.Image:
    """Returns an image of colours spread evenly over the range of a mode."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    bands = Image.getmodebands(mode)
    steps = np.linspace(0, 255, _GRID_STEPS).astype(np.uint8)
    colours = np.stack(np.meshgrid(*[steps] * bands), axis=-1).reshape(1, -1, bands)
    return Image.frombytes(mode, (colours.shape[1], 1), colours.tobytes())


_GREY_MODES = ("1", "L", "LA", "La")
# The value of white in 32-bit pixels: 1 for floats only, else that of 8 or 16 bits.
_FLOAT_WHITES = (1.0, 255.0, 65_535.0)
_INTEGER_WHITES = (255.0, 65_535.0)


def as_srgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Returns an image as 8-bit sRGB, composited over a colour where it is transparent.

    Args:
        image: An image of any mode, with its pixels loaded.
        background: RGB, 0..255.
    """
    profile = image.info.get("icc_profile")
    if image.mode.startswith(("I", "F")):
        colours, alpha = _deep(image)
    elif image.has_transparency_data:
        # Pillow converts grey with premultiplied alpha to LA only.
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        colours, alpha = rgba.convert("L" if image.mode in _GREY_MODES else "RGB"), rgba.getchannel("A")
    else:
        colours, alpha = image, None
        if image.mode == "1":
            colours = image.convert("L")
        elif image.mode not in ("L", "RGB", "CMYK", "LAB"):
            colours = image.convert("RGB")
    srgb = to_srgb(colours, profile)
    if alpha is not None:
        srgb = Image.composite(srgb, Image.new("RGB", srgb.size, background), alpha)
    srgb.info = {}  # the file's metadata does not describe the new pixels
    return srgb


def _deep(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Returns deeper pixels as 8-bit grey, and a mask of where they are opaque, or None."""
    values = np.asarray(image)
    # The upper 8 of 16 bits, as Pillow does for 16-bit colour: equal values stay equal in every image.
    eight_bit = (values >> 8).astype(np.uint8) if image.mode.startswith("I;16") else _scaled(values)
    key = image.info.get("transparency")
    alpha = None if key is None else Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
    return Image.fromarray(eight_bit), alpha


def _scaled(values: NDArray[np.int32] | NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns 32-bit values as 8 bits.

    Such a file does not state which value is white. The smallest usual range that holds all values decides, so that
    images of one kind come out alike; if none does, the range is that of the image's own values.
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
