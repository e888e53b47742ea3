"""Which way up an image is to be seen."""

from typing import Final

from PIL import ExifTags, Image

# Orientation -> what turns the image upright (Exif 2.32, section 4.6.4, tag 0x0112).
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Where Pillow finds what is said of an image.
_METADATA: Final = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}


def turn_needed(image: Image.Image) -> Image.Transpose | None:
    """Returns how an image must be turned to be upright, None if it is.

    EXIF counts first, then XMP, as in `PIL.ImageOps.exif_transpose`; what means nothing counts as upright.

    Args:
        image: With its pixels loaded, by which Pillow turns a TIFF as its own tags say.
    """
    # Parsing costs as much as decoding a small image, and most images have nothing to parse.
    if _METADATA.isdisjoint(image.info):
        return None
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken metadata, whatever its parser raises, says nothing of the orientation
        return None
