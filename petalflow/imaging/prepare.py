"""One image file in, one image that TensorFlow decodes the same out, or a reason why not.

Pillow reads far more than TensorFlow and knows about orientation; so it looks at every
file once, here, and what only it can read is written anew.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from petalflow.imaging.sniff import sniff

# Our own limits are checked before decoding, and say more than Pillow's warning.
Image.MAX_IMAGE_PIXELS = None

_MEASURED_PX = 16  # shorter side of what an image's colours are measured on
# Formats whose pixels have been through a lossy coder: JPEG again costs little, PNG would only grow them.
_LOSSY = {"JPEG", "MPO", "WEBP", "AVIF"}


@dataclass(frozen=True)
class Rules:
    """What an image may be, and how one that cannot pass through is written anew.

    Attributes:
        max_bytes: Largest file, in bytes.
        max_pixels: Largest width times height.
        min_side_px: Shortest side allowed, in pixels.
        max_side_px: Longest side allowed, in pixels.
        frames: Of several frames take the "first", or "reject" the file.
        background: RGB, 0..255, that shows where an image is transparent.
        jpeg_quality: Of what is written anew as JPEG, 1..100.
        resize_px: What the shorter side of a larger image is made, in pixels; None for its own size.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 100_000_000
    min_side_px: int = 1
    max_side_px: int = 65_535
    frames: Literal["first", "reject"] = "first"
    background: tuple[int, int, int] = (255, 255, 255)
    jpeg_quality: int = 95
    resize_px: int | None = None


@dataclass(frozen=True)
class Prepared:
    """An image that TensorFlow decodes to the same pixels as Pillow.

    Attributes:
        data: A baseline RGB or grey image, JPEG or PNG, upright.
        format: "jpeg" or "png".
        width_px: Width as seen, after orientation.
        height_px: Height as seen.
        means: Mean of red, green and blue over a reduced decode, each 0..255, to a hundredth.
        rewritten: Whether `data` differs from the file's bytes.
    """

    data: bytes
    format: str
    width_px: int
    height_px: int
    means: tuple[float, float, float]
    rewritten: bool


class Rejected(Exception):
    """An image that is refused.

    Attributes:
        reason: A stable code, for counting.
        sentence: What is wrong, for a person.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


def prepare(data: bytes, rules: Rules = Rules()) -> Prepared:
    """Checks an image file and makes it fit for the dataset.

    A clean RGB or grey JPEG or 8-bit PNG passes through byte for byte. Anything else is
    turned upright, laid over white where it is transparent, made 8-bit RGB and written
    anew: as JPEG if it was lossy, else as PNG. Of several frames the first counts.

    Args:
        data: The file's bytes.
        rules: What an image may be; pixels are checked before they are decoded.

    Raises:
        Rejected: With a stable reason: empty, too_many_bytes, not_an_image, too_many_pixels,
            too_large, too_small, unreadable.
    """
    if not data:
        raise Rejected("empty", "the file is empty")
    if len(data) > rules.max_bytes:
        raise Rejected("too_many_bytes", f"{len(data):,} bytes are more than the {rules.max_bytes:,} allowed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata does not matter here; undecodable pixels raise
        image = _open(data)
        _check_size(image, rules)
        return _finish(data, image, rules)


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise Rejected("not_an_image", f"not an image that Pillow knows (it looks like {sniff(data)})") from None
    except Exception as error:  # Pillow's plugins raise whatever their parsers meet
        raise Rejected("unreadable", f"cannot be opened: {error}") from None


def _check_size(image: Image.Image, rules: Rules) -> None:
    width, height = image.size
    if width * height > rules.max_pixels:
        raise Rejected("too_many_pixels", f"{width}×{height} is more than the {rules.max_pixels:,} pixels allowed")
    if max(width, height) > rules.max_side_px:
        raise Rejected("too_large", f"{width}×{height} is larger than {rules.max_side_px} px on a side")
    if min(width, height) < rules.min_side_px:
        raise Rejected("too_small", f"{width}×{height} is smaller than {rules.min_side_px} px on a side")


def _finish(data: bytes, image: Image.Image, rules: Rules) -> Prepared:
    try:
        image.load()
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if _is_clean(data, image, orientation):
            return Prepared(data, sniff(data), *image.size, _means(image), rewritten=False)
        upright = _as_rgb(ImageOps.exif_transpose(image), rules)
        lossy = image.format in _LOSSY
        encoded = _encode(upright, lossy, rules)
    except Exception as error:  # as in _open: any parser error means that the pixels cannot be had
        raise Rejected("unreadable", f"cannot be decoded: {error}") from None
    return Prepared(encoded, "jpeg" if lossy else "png", *upright.size, _means(upright), rewritten=True)


def _is_clean(data: bytes, image: Image.Image, orientation: int) -> bool:
    upright = orientation not in range(2, 9)
    plain = image.mode in ("RGB", "L") and "transparency" not in image.info
    # A 16-bit PNG opens as RGB too; byte 24 of a PNG is its bit depth (IHDR comes first).
    eight_bit = image.format == "JPEG" or (image.format == "PNG" and data[24] == 8)
    return upright and plain and eight_bit


def _means(image: Image.Image) -> tuple[float, float, float]:
    reduced = image.reduce(max(1, min(image.size) // _MEASURED_PX)).convert("RGB")
    red, green, blue = np.asarray(reduced, dtype=np.float64).mean(axis=(0, 1)).round(2).tolist()
    return red, green, blue


def _as_rgb(image: Image.Image, rules: Rules) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits in various disguises; Pillow's own conversion would clip
        values = np.asarray(image, dtype=np.int64)
        grey = np.clip(values >> 8, 0, 255).astype(np.uint8)
        grey[values == image.info.get("transparency", -1)] = 255
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (*rules.background, 255)), rgba).convert("RGB")
    return image.convert("RGB")


def _encode(image: Image.Image, lossy: bool, rules: Rules) -> bytes:
    buffer = io.BytesIO()
    if lossy:
        image.save(buffer, "JPEG", quality=rules.jpeg_quality, subsampling=0)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()
