"""The square of pixels that a network sees, without TensorFlow: what `petalflow.model.decode` does, in NumPy."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Rows = NDArray[np.floating[Any]]


def square(data: bytes, size_px: int) -> NDArray[np.uint8]:
    """Decodes an image that `prepare` returned, and resizes it to a square.

    A tenth of the pixels at most differ from those of `petalflow.model.decode.decode_image`, by one level of 255:
    Pillow and TensorFlow both decode with libjpeg-turbo and the accurate transform, and sums are rounded differently.

    Args:
        data: A JPEG or PNG file, upright and opaque.
        size_px: Height and width of the result.

    Returns:
        uint8 [size_px, size_px, 3], values 0..255.
    """
    image = Image.open(io.BytesIO(data))
    # Decodes a JPEG at 1/2, 1/4 or 1/8 while no side becomes shorter than this; other formats ignore it.
    image.draft(None, (size_px, size_px))
    pixels = np.asarray(image.convert("RGB"), np.float32)
    resize = _mean if max(pixels.shape[:2]) > 2 * size_px else _interpolate
    # Columns first, like TensorFlow, which matters where a sum is rounded.
    resized = resize(resize(pixels.swapaxes(0, 1), size_px).swapaxes(0, 1), size_px)
    return np.rint(resized).astype(np.uint8)


# Not as products with matrices of weights: the threads of NumPy's BLAS would take ten times as long to start.


def _interpolate(rows: Rows, count: int) -> Rows:
    """Returns `count` rows at even distances, each interpolated between the two nearest ones.

    The centre of a row is at its half; beyond the outermost centres is the outermost row.
    """
    half, scale = np.float32(0.5), np.float32(len(rows) / count)  # float32 throughout, like TensorFlow
    return _at(rows, ((np.arange(count, dtype=np.float32) + half) * scale - half).clip(0, len(rows) - 1))


def _mean(rows: Rows, count: int) -> Rows:
    """Returns `count` rows, each the mean of an equal part of the rows, of which the outermost count by their share."""
    sums = np.zeros((len(rows) + 1, *rows.shape[1:]))  # float64: they grow
    np.cumsum(rows, axis=0, out=sums[1:])
    ends = _at(sums, np.arange(count + 1) * (len(rows) / count))
    return np.diff(ends, axis=0) * (count / len(rows))


def _at(rows: Rows, places: NDArray[np.floating[Any]]) -> Rows:
    """Returns the rows at places between 0 and the last one, [len(places), ...], interpolated linearly."""
    lower = np.minimum(places.astype(int), len(rows) - 1)
    upper = np.minimum(lower + 1, len(rows) - 1)
    shares = (places - lower).astype(rows.dtype).reshape(-1, *[1] * (rows.ndim - 1))
    found: Rows = rows[lower] + (rows[upper] - rows[lower]) * shares
    return found
