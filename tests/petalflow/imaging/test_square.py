import numpy as np
import pytest

from petalflow.imaging.prepare import prepare
from petalflow.imaging.square import square
from petalflow.model.decode import decode_image
from tests.petalflow.imaging.images import encode, photo


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("width", "height", "size_px"),
    [(240, 160, 300), (240, 160, 96), (240, 160, 32), (161, 240, 64), (500, 120, 10), (9, 5, 8), (8, 8, 8)],
)
def test_the_pixels_are_those_that_tensorflow_decodes(form: str, mode: str, width: int, height: int, size_px) -> None:
    data = prepare(encode(photo(width, height).convert(mode), form)).data
    expected = decode_image(data, size_px, prepared=True).numpy().astype(int)
    found = square(data, size_px)
    assert found.dtype == np.uint8
    assert found.shape == (size_px, size_px, 3)
    differences = np.abs(found - expected)
    assert differences.max() <= 1
    assert (differences > 0).mean() < 0.01
