"""One image file in, one image that TensorFlow decodes the same out, or a reason why not.

Pillow reads far more than TensorFlow and knows about orientation; so it looks at every
file once, here, and what only it can read is written anew.
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from petalflow.imaging.sniff import sniff

# Our own limits are checked before decoding, and say more than Pillow's warning.
Image.MAX_IMAGE_PIXELS = None

_WHITE = (255, 255, 255, 255)
_JPEG_QUALITY = 95
# Formats whose pixels have been through a lossy coder: JPEG again costs little, PNG would only grow them.
_LOSSY = {"JPEG", "MPO", "WEBP", "AVIF"}


@dataclass(frozen=True)
class Limits:
    """What an image may be.

    Attributes:
        max_bytes: Largest file, in bytes.
        max_pixels: Largest width times height.
        min_side_px: Shortest side allowed, in pixels.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 100_000_000
    min_side_px: int = 1


@dataclass(frozen=True)
class Prepared:
    """An image that TensorFlow decodes to the same pixels as Pillow.

    Attributes:
        data: A baseline RGB or grey image, JPEG or PNG, upright.
        format: "jpeg" or "png".
        width_px: Width as seen, after orientation.
        height_px: Height as seen.
        rewritten: Whether `data` differs from the file's bytes.
    """

    data: bytes
    format: str
    width_px: int
    height_px: int
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


def prepare(data: bytes, limits: Limits = Limits()) -> Prepared:
    """Checks an image file and makes it fit for the dataset.

    A clean RGB or grey JPEG or 8-bit PNG passes through byte for byte. Anything else is
    turned upright, laid over white where it is transparent, made 8-bit RGB and written
    anew: as JPEG if it was lossy, else as PNG. Of several frames the first counts.

    Args:
        data: The file's bytes.
        limits: What an image may be; pixels are checked before they are decoded.

    Raises:
        Rejected: With a stable reason: empty, too_many_bytes, not_an_image, too_many_pixels,
            too_small, unreadable.
    """
    if not data:
        raise Rejected("empty", "the file is empty")
    if len(data) > limits.max_bytes:
        raise Rejected("too_many_bytes", f"{len(data):,} bytes are more than the {limits.max_bytes:,} allowed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata does not matter here; undecodable pixels raise
        image = _open(data)
        _check_size(image, limits)
        return _finish(data, image)


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise Rejected("not_an_image", f"not an image that Pillow knows (it looks like {sniff(data)})") from None
    except Exception as error:  # Pillow's plugins raise whatever their parsers meet
        raise Rejected("unreadable", f"cannot be opened: {error}") from None


def _check_size(image: Image.Image, limits: Limits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise Rejected("too_many_pixels", f"{width}×{height} is more than the {limits.max_pixels:,} pixels allowed")
    if min(width, height) < limits.min_side_px:
        raise Rejected("too_small", f"{width}×{height} is smaller than {limits.min_side_px} px on a side")


def _finish(data: bytes, image: Image.Image) -> Prepared:
    try:
        image.load()
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if _is_clean(data, image, orientation):
            return Prepared(data, sniff(data), *image.size, rewritten=False)
        upright = _as_rgb(ImageOps.exif_transpose(image))
        lossy = image.format in _LOSSY
        encoded = _encode(upright, lossy)
    except Exception as error:  # as in _open: any parser error means that the pixels cannot be had
        raise Rejected("unreadable", f"cannot be decoded: {error}") from None
    return Prepared(encoded, "jpeg" if lossy else "png", *upright.size, rewritten=True)


def _is_clean(data: bytes, image: Image.Image, orientation: int) -> bool:
    upright = orientation not in range(2, 9)
    plain = image.mode in ("RGB", "L") and "transparency" not in image.info
    # A 16-bit PNG opens as RGB too; byte 24 of a PNG is its bit depth (IHDR comes first).
    eight_bit = image.format == "JPEG" or (image.format == "PNG" and data[24] == 8)
    return upright and plain and eight_bit


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits in various disguises; Pillow's own conversion would clip
        values = np.asarray(image, dtype=np.int64)
        grey = np.clip(values >> 8, 0, 255).astype(np.uint8)
        grey[values == image.info.get("transparency", -1)] = 255
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, _WHITE), rgba).convert("RGB")
    return image.convert("RGB")


def _encode(image: Image.Image, lossy: bool) -> bytes:
    buffer = io.BytesIO()
    if lossy:
        image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()
