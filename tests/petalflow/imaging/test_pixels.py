import numpy as np
import pytest
from PIL import Image

from petalflow.imaging import Rules, prepare
from petalflow.imaging.pixels import as_srgb
from tests.petalflow.imaging.images import decode, encode, photo

WHITE = (255, 255, 255)


def first_row(image: Image.Image, form: str = "TIFF", **options: object) -> list[int]:
    return decode(prepare(encode(image, form, **options)).data)[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),  # fractions
        ([0.0, 100.0, 255.0], [0, 100, 255]),  # as in 8 bits, in a float
        ([0.0, 256.0, 65_535.0], [0, 1, 255]),  # as in 16 bits, in a float
        ([-10.0, 0.0, 10.0], [0, 128, 255]),  # anything else: darkest to brightest
        ([0.0, float("nan"), float("inf"), 1.0], [0, 0, 0, 255]),
        ([7e4, 7e4, 7e4], [0, 0, 0]),
        ([0.0, 0.0], [0, 0]),
    ],
)
def test_floats_are_taken_in_the_smallest_usual_range(values: list[float], expected: list[int]) -> None:
    assert first_row(Image.fromarray(np.array([values], np.float32))) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 255], [0, 1, 255]),
        ([0, 256, 65_535], [0, 1, 255]),
        ([0, 1 << 20, 1 << 21], [0, 128, 255]),
        ([-100, 0, 300], [0, 64, 255]),
        ([-(2**31), 2**31 - 1], [0, 255]),
    ],
)
def test_integers_of_32_bits_are_taken_in_the_smallest_usual_range(values: list[int], expected: list[int]) -> None:
    assert first_row(Image.fromarray(np.array([values], np.int32))) == expected


GREY = ("L", "LA", "La", "PA")
COLOURED = ("RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "P")


@pytest.mark.parametrize("mode", ["1", *GREY, *COLOURED])
def test_every_mode_of_pillow_becomes_the_same_picture(mode: str) -> None:
    way = {"PA": "LA", "La": "LA", "RGBa": "RGBA"}.get(mode, "RGB")
    image = photo().convert(way).convert(mode, palette=Image.Palette.ADAPTIVE)
    expected = photo().convert("1" if mode == "1" else "L" if mode in GREY else "RGB").convert("RGB")
    found = as_srgb(image, WHITE)
    assert found.mode == "RGB"
    assert np.abs(np.asarray(found, np.int16) - np.asarray(expected, np.int16)).mean() <= 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_lies_over_the_background_asked_for(mode: str) -> None:
    image = Image.new(mode, (1, 1), (0,) * len(mode))
    data = encode(image, "PNG")
    assert decode(prepare(data, Rules(background=(10, 20, 30))).data)[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_nothing_of_the_files_metadata_is_written(form: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    data = encode(photo().convert("RGBA"), form, exif=exif, dpi=(72, 72))
    assert prepare(data).data == encode(photo(), "PNG")
