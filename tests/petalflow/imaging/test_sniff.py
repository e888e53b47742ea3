import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from petalflow.imaging import sniff

FORMATS = {"JPEG": "jpeg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "BMP": "bmp", "TIFF": "tiff", "PPM": "other"}


@pytest.mark.parametrize(("written", "expected"), FORMATS.items())
def test_a_format_is_known_by_its_bytes(written: str, expected: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2)).save(buffer, written)
    assert sniff(buffer.getvalue()) == expected
    assert sniff(buffer.getvalue()[:16]) == expected


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\x89PNG", b"RIFF\x00\x00\x00\x00WAVE", b"hello", b"II*", b"GIF88a"]
)
def test_what_only_begins_like_an_image_is_other(data: bytes) -> None:
    assert sniff(data) == "other"


def test_a_big_endian_tiff_is_a_tiff() -> None:
    assert sniff(b"MM\x00*\x00\x00\x00\x08") == "tiff"


@given(st.binary(), st.binary(max_size=40))
def test_only_the_first_16_bytes_count(data: bytes, rest: bytes) -> None:
    assert sniff(data) in FORMATS.values()
    if len(data) >= 16:
        assert sniff(data + rest) == sniff(data)
