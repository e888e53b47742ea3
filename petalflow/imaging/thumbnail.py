"""Small pictures for reports."""

import io

from PIL import Image

_QUALITY = 85


def thumbnail(data: bytes, side_px: int) -> tuple[bytes, str]:
    """Returns a picture whose longer side is `side_px`.

    Tiny images are enlarged without smoothing, so that their pixels can be seen, and stay
    lossless; the rest become JPEG.

    Args:
        data: A JPEG or PNG file.
        side_px: The longer side of the result, in pixels.

    Returns:
        The file's bytes and its media type.
    """
    with Image.open(io.BytesIO(data)) as image:
        scale = side_px / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image.draft(None, (2 * size[0], 2 * size[1]))  # a large JPEG is decoded no larger than that needs
        small = image.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if scale > 1:
        small.save(buffer, "PNG")
        return buffer.getvalue(), "image/png"
    small.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue(), "image/jpeg"
