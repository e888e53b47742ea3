import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from petalflow.imaging import sniff, thumbnail


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@given(width=st.integers(1, 300), height=st.integers(1, 300), side_px=st.integers(1, 128))
def test_the_longer_side_has_the_requested_size_and_the_shape_is_kept(width: int, height: int, side_px: int) -> None:
    data, media_type = thumbnail(png(np.zeros((height, width), np.uint8)), side_px)
    small = Image.open(io.BytesIO(data))
    assert max(small.size) == side_px
    assert min(small.size) == max(1, round(min(width, height) * side_px / max(width, height)))
    assert media_type == f"image/{sniff(data)}"


def test_a_tiny_image_is_enlarged_without_smoothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    data, media_type = thumbnail(png(pixels), 16)
    assert media_type == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels.repeat(4, 0).repeat(4, 1))


def test_a_photo_becomes_a_small_jpeg_of_the_same_colour() -> None:
    data, media_type = thumbnail(png(np.full((400, 600, 3), (200, 40, 90), np.uint8)), 60)
    assert media_type == "image/jpeg"
    small = np.asarray(Image.open(io.BytesIO(data)), np.int16)
    assert small.shape == (40, 60, 3)
    assert np.abs(small - (200, 40, 90)).max() <= 4


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA"])
def test_any_png_can_be_shown(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (40, 20)).save(buffer, "PNG")
    for side_px in (10, 60):
        data, _ = thumbnail(buffer.getvalue(), side_px)
        assert Image.open(io.BytesIO(data)).size == (side_px, side_px // 2)
