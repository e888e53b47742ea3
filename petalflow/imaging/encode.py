"""Writing an image anew: lossy if it was lossy, lossless if it was lossless, the same bytes every time."""

import io

from PIL import Image

# libjpeg writes no more on a side.
_JPEG_MAX_SIDE_PX = 65_500
# Compressions of a TIFF that lose (Pillow's names).
_LOSSY_TIFF = {"jpeg", "tiff_jpeg", "webp"}


def was_lossy(image: Image.Image, data: bytes) -> bool:
    """Returns whether an image's pixels have been through a lossy coder.

    If so JPEG again costs little, and PNG would only grow them.

    Args:
        image: The image as it was opened.
        data: Its file.
    """
    match image.format:
        case "JPEG" | "MPO" | "AVIF":
            return True
        case "WEBP":
            return b"VP8L" not in data[12:] or b"VP8 " in data[12:]
        case "JPEG2000":
            # The last byte of the coding style says which wavelet: 1 for the reversible one (T.800, table A.20).
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
