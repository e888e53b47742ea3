"""Writing images: those of the dataset, whose bytes are the same every time, and thumbnails for reports."""

import io

from PIL import Image

# libjpeg's limit on a side.
_JPEG_MAX_SIDE_PX = 65_500
# Lossy compressions of a TIFF (Pillow's names).
_LOSSY_TIFF = {"jpeg", "tiff_jpeg", "webp"}


def was_lossy(image: Image.Image, data: bytes) -> bool:
    """Returns True if an image's pixels have been through a lossy encoder.

    If so, encoding them as JPEG again costs little, and PNG would only make the file larger.

    Args:
        image: The image as it was opened.
        data: Its file.
    """
    match image.format:
        case "JPEG" | "MPO" | "AVIF" | "HEIF":
            return True
        case "WEBP":
            return b"VP8L" not in data[12:] or b"VP8 " in data[12:]
        case "JPEG2000":
            # The last byte of the coding style is the wavelet: 1 is the reversible one (T.800, table A.20).
            style = data.find(b"\xff\x52")
            return data[style + 13 : style + 14] != b"\x01"
        case "TIFF":
            return image.info.get("compression") in _LOSSY_TIFF
    return False


def encode(image: Image.Image, lossy: bool, jpeg_quality: int) -> tuple[bytes, str]:
    """Returns an RGB image as a file, and "jpeg" or "png"."""
    buffer = io.BytesIO()
    if lossy and max(image.size) <= _JPEG_MAX_SIDE_PX:
        image.save(buffer, "JPEG", quality=jpeg_quality, subsampling=0)
        return buffer.getvalue(), "jpeg"
    image.save(buffer, "PNG")
    return buffer.getvalue(), "png"


_THUMBNAIL_QUALITY = 85


def thumbnail(data: bytes, side_px: int) -> tuple[bytes, str]:
    """Returns an image whose longer side is `side_px`.

    Tiny images are enlarged without smoothing, so that their pixels can be seen, and stay lossless; the rest become
    JPEG.

    Args:
        data: A JPEG or PNG file.
        side_px: The longer side of the result, in pixels.

    Returns:
        The file's bytes and its media type.
    """
    with Image.open(io.BytesIO(data)) as image:
        scale = side_px / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image.draft(None, (2 * size[0], 2 * size[1]))  # decodes a large JPEG at no more than it needs
        small = image.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if scale > 1:
        small.save(buffer, "PNG")
        return buffer.getvalue(), "image/png"
    small.save(buffer, "JPEG", quality=_THUMBNAIL_QUALITY)
    return buffer.getvalue(), "image/jpeg"
