import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from petalflow.imaging import Rules, prepare
from petalflow.imaging.colour import as_srgb
from tests.petalflow.imaging.images import cmyk_profile, decode, encode, grey_profile, photo, rgb_profile

SRGB_PRIMARIES = [(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141)]
WIDE_PRIMARIES = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]
WIDE = rgb_profile(2.2, WIDE_PRIMARIES)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_a_wider_profile_makes_colours_stronger() -> None:
    prepared = prepare(encode(Image.new("RGB", (8, 8), (90, 150, 90)), "PNG", icc_profile=WIDE))
    red, green, blue = decode(prepared.data)[0, 0].tolist()
    assert red < 75
    assert green in range(149, 153)
    assert blue in range(85, 90)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_an_encoded_image_carries_no_profile(form: str) -> None:
    prepared = prepare(encode(photo(), form, icc_profile=WIDE))
    assert prepared.rewritten
    assert "icc_profile" not in Image.open(io.BytesIO(prepared.data)).info
    assert prepare(prepared.data).data == prepared.data


@pytest.mark.parametrize(
    "profile",
    [SRGB, b"no profile at all", WIDE[:200], cmyk_profile(), grey_profile(1.0)],
    ids=["srgb", "junk", "cut", "of a printer", "of grey"],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_an_srgb_profile_lets_a_clean_file_pass(form: str, profile: bytes) -> None:
    data = encode(photo(), form, icc_profile=profile)
    assert prepare(data).data == data


def test_a_profile_is_judged_by_what_it_does_and_not_by_its_name() -> None:
    almost, other = rgb_profile(2.2, SRGB_PRIMARIES), rgb_profile(1.8, SRGB_PRIMARIES)
    assert almost[128:200] == other[128:200]
    assert prepare(encode(photo(), "PNG", icc_profile=other)).rewritten


def test_grey_with_a_profile() -> None:
    data = encode(Image.new("L", (8, 8), 55), "PNG", icc_profile=grey_profile(1.0))
    assert decode(prepare(data).data)[0, 0].tolist() == [128, 128, 128]


def test_grey_with_a_profile_for_colours() -> None:
    data = encode(Image.new("L", (8, 8), 100), "PNG", icc_profile=rgb_profile(1.0, SRGB_PRIMARIES))
    np.testing.assert_allclose(decode(prepare(data).data)[0, 0], [168] * 3, atol=1)


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_takes_its_printers_colours(form: str) -> None:
    data = encode(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), form, icc_profile=cmyk_profile())
    np.testing.assert_allclose(decode(prepare(data).data)[4, 4], [213, 60, 55], atol=3)


def test_transparency_is_kept_apart_from_colours() -> None:
    image = Image.new("RGBA", (2, 1), (90, 150, 90, 0))
    image.putpixel((1, 0), (90, 150, 90, 255))
    clear, solid = decode(prepare(encode(image, "PNG", icc_profile=WIDE)).data)[0].tolist()
    assert clear == [255, 255, 255]
    assert solid[0] < 75


def test_lab_is_converted_to_the_same_colours() -> None:
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    image = ImageCms.applyTransform(photo(), lab)
    assert image is not None
    prepared = prepare(encode(image, "TIFF"))
    assert prepared.format == "png"
    assert np.abs(decode(prepared.data) - np.asarray(photo(), np.int16)).mean() < 2


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
def test_transparent_pixels_are_laid_over_the_requested_background(mode: str) -> None:
    image = Image.new(mode, (1, 1), (0,) * len(mode))
    data = encode(image, "PNG")
    assert decode(prepare(data, Rules(background=(10, 20, 30))).data)[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_the_files_metadata_is_not_written(form: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    data = encode(photo().convert("RGBA"), form, exif=exif, dpi=(72, 72))
    assert prepare(data).data == encode(photo(), "PNG")
