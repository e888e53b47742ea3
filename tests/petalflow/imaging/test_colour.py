import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from petalflow.imaging import prepare
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
def test_what_is_written_carries_no_profile(form: str) -> None:
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
def test_a_profile_that_says_nothing_new_lets_a_clean_file_pass(form: str, profile: bytes) -> None:
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


def test_lab_becomes_what_it_means() -> None:
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    image = ImageCms.applyTransform(photo(), lab)
    assert image is not None
    prepared = prepare(encode(image, "TIFF"))
    assert prepared.format == "png"
    assert np.abs(decode(prepared.data) - np.asarray(photo(), np.int16)).mean() < 2
