"""One image file in, one image that TensorFlow decodes to the same pixels out, or a reason why not.

Pillow reads far more formats than TensorFlow, and knows about orientation and colour. So it looks at every file once,
here, and encodes again what TensorFlow would read differently.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from PIL import ExifTags, Image, ImageOps

from petalflow.imaging.colour import as_srgb, needs_conversion
from petalflow.imaging.encode import encode, was_lossy
from petalflow.imaging.opening import one_line, open_image
from petalflow.imaging.passing import is_plain_jpeg, is_plain_png
from petalflow.imaging.rules import Prepared, Rejected, Rules
from petalflow.imaging.unsupported import recognize

# A JPEG is decoded at no less than this multiple of its final size; below it, the result of the Lanczos filter differs
# visibly.
_DRAFT_MARGIN = 2
# Where Pillow finds an image's orientation.
_METADATA: Final = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}
_UPRIGHT, _ORIENTATIONS = 1, range(1, 9)  # Exif 2.32, section 4.6.4, tag 0x0112
# Columns and rows that `means` looks at: on most photos the result is within half a level of the mean of all pixels,
# and within three levels on 99 of 100. All pixels would take three times as long, a third of a small decode.
_GRID = 96
# Pixels that the threads of a process hold decoded at once, so that large images cannot fill the memory: a pixel takes
# four bytes, and as many again for each of the few copies that turning and converting make.
_MAX_DECODED_PIXELS = 64_000_000  # of several images; a larger one is decoded while no other large one is
_UNCOUNTED_PIXELS = 1_000_000  # images of no more than this are not counted

_room_changed = threading.Condition()
_decoded_pixels = 0


def prepare(data: bytes, rules: Rules = Rules()) -> Prepared:
    """Checks an image file and makes it fit for the dataset.

    A clean RGB or grey JPEG or 8-bit PNG passes through byte for byte. Anything else is turned upright, converted to
    sRGB, composited over the background where it is transparent, and encoded again: as JPEG if it was lossy, else as
    PNG. Only the first of several frames is used.

    Args:
        data: The file's bytes.
        rules: What an image may be; bytes and pixels are checked before anything is decoded.

    Raises:
        Rejected: With a stable reason: empty, too_many_bytes, too_many_pixels, too_large, too_small, several_frames,
            unreadable, not_an_image, or what `recognize` takes it for.
    """
    image = open_image(data, rules)
    try:
        with room_for(image.width * image.height):
            return _finish(data, image, rules)
    except Exception as error:  # Pillow's decoders raise all kinds of errors
        known = recognize(data) if image.format == "JPEG" else None
        raise known or Rejected("unreadable", f"cannot be decoded: {one_line(error)}") from None


def means(image: Image.Image) -> tuple[float, float, float]:
    """Returns the mean of red, green and blue over an even grid of pixels.

    Args:
        image: An RGB or grey image of 8 bits a channel, as it was decoded: not turned yet.

    Returns:
        Values 0..255, to a hundredth; exact for images smaller than 96 pixels a side.
    """
    grid = image.resize((min(image.width, _GRID), min(image.height, _GRID)), Image.Resampling.NEAREST)
    if grid.width == _GRID:
        # One value per row is enough, and Python adds up so few before NumPy has started.
        grid = grid.reduce((_GRID, 1))
    values, bands = grid.tobytes(), len(grid.getbands())
    sums = [sum(values[band::bands]) for band in range(bands)]
    red, green, blue = (round(total * bands / len(values), 2) for total in (sums * 3 if bands == 1 else sums))
    return red, green, blue


@contextlib.contextmanager
def room_for(pixels: int) -> Iterator[None]:
    """Waits until an image of this many pixels may be decoded, and counts it while the block runs."""
    global _decoded_pixels
    if pixels <= _UNCOUNTED_PIXELS:
        yield
        return
    with _room_changed:
        _room_changed.wait_for(lambda: not _decoded_pixels or _decoded_pixels + pixels <= _MAX_DECODED_PIXELS)
        _decoded_pixels += pixels
    try:
        yield
    finally:
        with _room_changed:
            _decoded_pixels -= pixels
            _room_changed.notify_all()


def _finish(data: bytes, image: Image.Image, rules: Rules) -> Prepared:
    size = _final_size(image.size, rules.resize_px)
    if size != image.size:
        # A JPEG can be decoded at a half, quarter or eighth of its size, much faster; other formats ignore this.
        image.draft(None, (_DRAFT_MARGIN * size[0], _DRAFT_MARGIN * size[1]))
    image.load()
    orientation = _read_orientation(image)
    if size == image.size and orientation == _UPRIGHT and _passes(data, image):
        return Prepared(data, "png" if image.format == "PNG" else "jpeg", *size, means(image), rewritten=False)
    srgb = as_srgb(image, rules.background)
    resized = srgb if size == srgb.size else srgb.resize(size, Image.Resampling.LANCZOS)
    upright = _turn_upright(resized, orientation)
    encoded, form = encode(upright, was_lossy(image, data), rules.jpeg_quality)
    return Prepared(encoded, form, *upright.size, means(srgb), rewritten=True)


def _final_size(size: tuple[int, int], resize_px: int | None) -> tuple[int, int]:
    """Returns the size at which the shorter side of a larger image is `resize_px`."""
    shorter = min(size)
    if resize_px is None or shorter <= resize_px:
        return size
    width, height = (max(1, round(side * resize_px / shorter)) for side in size)
    return width, height


def _passes(data: bytes, image: Image.Image) -> bool:
    """Returns True if TensorFlow decodes an upright file to the intended pixels."""
    if image.mode not in ("RGB", "L") or "transparency" in image.info or needs_conversion(image):
        return False
    if image.format == "PNG":
        return is_plain_png(data)
    return image.format == "JPEG" and is_plain_jpeg(data)


def _read_orientation(image: Image.Image) -> int:
    """Returns an image's orientation, 1..8; 1, upright, if its metadata states none or nonsense.

    Args:
        image: With its pixels loaded: on loading, Pillow turns a TIFF as its own tags say.
    """
    # Parsing costs as much as decoding a small image, and most images have nothing to parse.
    if _METADATA.isdisjoint(image.info):
        return _UPRIGHT
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    except Exception:  # the parser raises all kinds of errors on broken metadata, which states no orientation
        return _UPRIGHT
    return orientation if orientation in _ORIENTATIONS else _UPRIGHT


def _turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Returns an image turned upright.

    Args:
        image: Without metadata of its own.
        orientation: That of the file, 1..8.
    """
    if orientation == _UPRIGHT:
        return image
    image.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(image)
