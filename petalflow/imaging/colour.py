"""Turning the colours that an ICC profile means into sRGB."""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageCms

# Colour space of a profile -> mode of the pixels that it is for.
_MODES: Final = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
# A profile is sRGB if it moves no colour of the grid by more levels: what rounding and the usual variants do.
_SAME_LEVELS = 2
_GRID_STEPS = 9


@dataclass(frozen=True)
class _Conversion:
    mode: str
    transform: ImageCms.ImageCmsTransform

    def apply(self, image: Image.Image) -> Image.Image:
        return self.transform.apply(image if image.mode == self.mode else image.convert(self.mode))


def needs_conversion(image: Image.Image) -> bool:
    """Returns whether an image's profile means other colours than sRGB with the same values."""
    profile = image.info.get("icc_profile")
    return bool(profile) and _conversion(profile, image.mode) is not None


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Returns an image in sRGB.

    A profile that is broken, for another kind of pixels, or sRGB already leaves the values as they are.

    Args:
        image: Of mode L, RGB, CMYK or LAB.
        profile: Its ICC profile.

    Returns:
        An RGB image.
    """
    if image.mode == "LAB":
        return _lab().apply(image)
    conversion = _conversion(profile, image.mode) if profile else None
    return conversion.apply(image) if conversion else image.convert("RGB")


@lru_cache(maxsize=64)  # by its bytes, not its name: names lie here too
def _conversion(profile: bytes, mode: str) -> _Conversion | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        wanted = _MODES.get(source.profile.xcolor_space)
        # Grey values may come with a profile for colours; else a profile for other pixels says nothing of these.
        if wanted is None or (mode != wanted and (mode, wanted) != ("L", "RGB")):
            return None
        conversion = _Conversion(wanted, _transform(source, wanted))
        grid = _grid(mode)
        moved = np.asarray(conversion.apply(grid), np.int16) - np.asarray(grid.convert("RGB"), np.int16)
    except (OSError, ValueError, TypeError):
        return None
    return conversion if mode == "CMYK" or np.abs(moved).max() > _SAME_LEVELS else None


@lru_cache(maxsize=1)
def _lab() -> _Conversion:
    return _Conversion("LAB", _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB"))


def _transform(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    # What photo editors do unless told otherwise: colours stay what they are, the darkest becomes black.
    # (Profiles of cameras and screens hold one table for all intents; it matters for those of printers.)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.ImageCmsTransform(source, srgb, mode, "RGB", intent, flags=flags)


def _grid(mode: str) -> Image.Image:
    """Returns an image of colours spread evenly over all that a mode can say."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    bands = Image.getmodebands(mode)
    steps = np.linspace(0, 255, _GRID_STEPS).astype(np.uint8)
    colours = np.stack(np.meshgrid(*[steps] * bands), axis=-1).reshape(1, -1, bands)
    return Image.frombytes(mode, (colours.shape[1], 1), colours.tobytes())
