"""One image file in, one image that TensorFlow decodes the same out, or a reason why not.

Pillow reads far more than TensorFlow and knows about orientation and colour; so it looks at every
file once, here, and what only it reads as it is meant is written anew.
"""

from PIL import Image

from petalflow.imaging.colour import needs_conversion
from petalflow.imaging.encode import encode, was_lossy
from petalflow.imaging.measure import means
from petalflow.imaging.opening import one_line, open_image
from petalflow.imaging.orientation import turn_needed
from petalflow.imaging.passing import is_plain_jpeg, is_plain_png
from petalflow.imaging.pixels import as_srgb
from petalflow.imaging.room import room_for
from petalflow.imaging.rules import Prepared, Rejected, Rules

# How much larger than its final size a JPEG is decoded at least: less shows in a Lanczos filter.
_DRAFT_MARGIN = 2


def prepare(data: bytes, rules: Rules = Rules()) -> Prepared:
    """Checks an image file and makes it fit for the dataset.

    A clean RGB or grey JPEG or 8-bit PNG passes through byte for byte. Anything else is turned
    upright, into sRGB, laid over the background where it is transparent, and written anew: as
    JPEG if it was lossy, else as PNG. Of several frames the first counts.

    Args:
        data: The file's bytes.
        rules: What an image may be; bytes and pixels are checked before they are decoded.

    Raises:
        Rejected: With a stable reason: empty, too_many_bytes, not_an_image, too_many_pixels,
            too_large, too_small, several_frames, unreadable.
    """
    image = open_image(data, rules)
    try:
        with room_for(image.width * image.height):
            return _finish(data, image, rules)
    except Exception as error:  # Pillow's decoders raise whatever they meet
        raise Rejected("unreadable", f"cannot be decoded: {one_line(error)}") from None


def _finish(data: bytes, image: Image.Image, rules: Rules) -> Prepared:
    size = _final_size(image.size, rules.resize_px)
    if size != image.size:
        # JPEG can be decoded at a half, quarter or eighth, which is much faster; other formats ignore this.
        image.draft(None, (_DRAFT_MARGIN * size[0], _DRAFT_MARGIN * size[1]))
    image.load()
    turn = turn_needed(image)
    if size == image.size and turn is None and _passes(data, image):
        return Prepared(data, "png" if image.format == "PNG" else "jpeg", *size, means(image), rewritten=False)
    seen = as_srgb(image, rules.background)
    resized = seen if size == seen.size else seen.resize(size, Image.Resampling.LANCZOS)
    upright = resized if turn is None else resized.transpose(turn)
    encoded, form = encode(upright, was_lossy(image, data), rules.jpeg_quality)
    return Prepared(encoded, form, *upright.size, means(seen), rewritten=True)


def _final_size(size: tuple[int, int], resize_px: int | None) -> tuple[int, int]:
    """Returns the size with `resize_px` for the shorter side of what is larger."""
    shorter = min(size)
    if resize_px is None or shorter <= resize_px:
        return size
    width, height = (max(1, round(side * resize_px / shorter)) for side in size)
    return width, height


def _passes(data: bytes, image: Image.Image) -> bool:
    """Returns whether TensorFlow decodes an upright file to the pixels that it means."""
    if image.mode not in ("RGB", "L") or "transparency" in image.info or needs_conversion(image):
        return False
    if image.format == "PNG":
        return is_plain_png(data)
    return image.format == "JPEG" and is_plain_jpeg(data)
