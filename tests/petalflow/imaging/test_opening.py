import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from petalflow.imaging import Rejected, Rules, prepare, sniff
from tests.petalflow.imaging.images import bare_png, decode, encode, oriented, photo, png_chunk

# The memory that a child process may use in addition to what a small image needs.
_ALLOWED_MIB = 64

_CHILD = """
import resource, sys
from petalflow.imaging import Rejected, prepare

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

def outcome(file):
    try:
        return prepare(open(file, "rb").read()).format
    except Rejected as rejected:
        return rejected.reason

small, bomb = sys.argv[1:]
outcome(small)
before = peak_mib()
print(outcome(bomb), peak_mib() - before)
"""


def zeros(mebibytes: int) -> bytes:
    """Returns a zlib stream of many zeros."""
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(mebibytes)) + packer.flush()


def gif(width: int, height: int, frame_width: int, frame_height: int) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, frame_width, frame_height, 0)
    return b"GIF89a" + screen + frame + b"\x02\x02\x4c\x01\0;"


def animated_webp(canvas_px: int) -> bytes:
    small = encode(photo(), "WEBP", save_all=True, append_images=[photo().rotate(180)])
    at = small.index(b"VP8X") + 12
    return small[:at] + (canvas_px - 1).to_bytes(3, "little") * 2 + small[at + 6 :]


def tiled_tiff(tile_px: int, stream: bytes) -> bytes:
    """Returns a TIFF of 16×16 whose only tile is larger (TIFF 6.0, section 15)."""
    fields = [(256, 3, 16), (257, 3, 16), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    fields += [(322, 4, tile_px), (323, 4, tile_px), (324, 4, 8 + 2 + 10 * 12 + 4), (325, 4, len(stream))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4) + stream


def jpeg2000(inner_px: int) -> bytes:
    data = bytearray(encode(photo(), "JPEG2000"))
    at = data.index(b"\xff\x4f\xff\x51") + 8
    data[at : at + 8] = struct.pack(">II", inner_px, inner_px)
    return bytes(data)


def huge_count_tiff() -> bytes:
    field = struct.pack("<HHII", 270, 2, 0xFFFF_FFF0, 8)  # a description of 4 GiB
    return encode(photo(), "TIFF")[:8] + struct.pack("<H", 200) + field * 200 + bytes(4)


def text_png(kind: bytes, head: bytes) -> bytes:
    return bare_png(1, 1, 8, 2, zlib.compress(bytes(4)), png_chunk(kind, head + zeros(256)))


BOMBS = {
    "png": (lambda: bare_png(50_000, 50_000, 8, 2, zeros(256)), "too_many_pixels"),
    "png text": (lambda: text_png(b"zTXt", b"k\0\0"), "unreadable"),
    "png international text": (lambda: text_png(b"iTXt", b"k\0\1\0\0\0"), "unreadable"),
    "png profile": (lambda: text_png(b"iCCP", b"k\0\0"), "unreadable"),
    "gif screen": (lambda: gif(65_535, 65_535, 1, 1), "too_many_pixels"),
    "gif frame": (lambda: gif(1, 1, 65_535, 65_535), "too_many_pixels"),
    "webp canvas": (lambda: animated_webp(16_000), "too_many_pixels"),
    "tiff tile": (lambda: tiled_tiff(16_384, zeros(256)), "too_many_pixels"),
    "tiff tags": (huge_count_tiff, None),
    "jpeg 2000 in its box": (lambda: jpeg2000(60_000), "too_many_pixels"),
    "bmp": (lambda: bmp(60_000, 60_000), "too_many_pixels"),
    "ppm": (lambda: b"P6 60000 60000 255\n" + bytes(100), "too_many_pixels"),
    "icon": (lambda: icon(bare_png(20_000, 20_000, 8, 2, zeros(256))), "not_an_image"),
}


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHH", 54, 0, 54, 40, width, height, 1, 24) + bytes(24)


def icon(png: bytes) -> bytes:
    """Returns an icon that claims a size of 16×16 but holds a larger PNG."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(png), 22) + png


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_no_memory(name: str, tmp_path: Path) -> None:
    make, expected = BOMBS[name]
    (tmp_path / "bomb").write_bytes(make())
    (tmp_path / "small").write_bytes(encode(photo(), "TIFF"))  # loads all of Pillow's plugins
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "small"), str(tmp_path / "bomb")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert lines[0] == (expected or lines[0])
    assert int(lines[1]) < _ALLOWED_MIB


def test_a_side_beyond_what_tensorflow_decodes_is_refused_whatever_is_allowed() -> None:
    rules = Rules(max_side_px=10**9, max_pixels=10**12)
    for size, reason in (((1_000_001, 1), "too_large"), ((20_000, 20_000), "too_many_pixels")):
        with pytest.raises(Rejected) as caught:
            prepare(bare_png(*size, 8, 0, b""), rules)
        assert caught.value.reason == reason


SEVERAL = {
    "gif": ("GIF", {"save_all": True}),
    "apng": ("PNG", {"save_all": True}),
    "webp": ("WEBP", {"save_all": True}),
    "tiff": ("TIFF", {"save_all": True}),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_frames_are_refused_if_asked(name: str) -> None:
    form, options = SEVERAL[name]
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encode(frames[0], form, append_images=frames[1:], **options)
    assert decode(prepare(data).data)[0, 0, 0] > 200
    with pytest.raises(Rejected, match="2 frames") as caught:
        prepare(data, Rules(frames="reject"))
    assert caught.value.reason == "several_frames"
    assert prepare(encode(frames[0], form), Rules(frames="reject"))


def test_a_phones_photo_with_a_preview_is_one_image() -> None:
    data = encode(photo(), "MPO", save_all=True, append_images=[photo(12, 8)])
    assert Image.open(io.BytesIO(data)).n_frames == 2
    prepared = prepare(data, Rules(frames="reject"))
    assert (prepared.format, prepared.width_px) == ("jpeg", 48)
    assert prepare(prepared.data).data == prepared.data


@pytest.mark.parametrize(("form", "expected"), [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "jpeg"), ("TIFF", "png")])
def test_the_shorter_side_is_reduced_to_the_requested_size(form: str, expected: str) -> None:
    image = photo(120, 90).resize((1200, 900), Image.Resampling.BICUBIC)
    prepared = prepare(encode(image, form), Rules(resize_px=90))
    assert (prepared.width_px, prepared.height_px, prepared.format) == (120, 90, expected)
    small = image.resize((120, 90), Image.Resampling.LANCZOS)
    assert abs(decode(prepared.data) - decode(encode(small, "PNG"))).mean() < 2


@pytest.mark.parametrize("resize_px", [32, 33, 1000])
def test_nothing_is_enlarged(resize_px: int) -> None:
    data = encode(photo(), "JPEG")
    assert prepare(data, Rules(resize_px=resize_px)).data == data


def test_an_image_on_its_side_is_turned_and_resized() -> None:
    prepared = prepare(oriented("JPEG", 6), Rules(resize_px=16))
    assert (prepared.width_px, prepared.height_px) == (16, 24)


def test_a_thread_of_an_image_keeps_a_pixel() -> None:
    data = encode(Image.new("RGB", (3000, 2)), "PNG")
    assert prepare(data, Rules(resize_px=1)).height_px == 1


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
def test_data_that_only_begins_like_an_image_is_other(data: bytes) -> None:
    assert sniff(data) == "other"


def test_a_big_endian_tiff_is_a_tiff() -> None:
    assert sniff(b"MM\x00*\x00\x00\x00\x08") == "tiff"


@given(st.binary(), st.binary(max_size=40))
def test_only_the_first_16_bytes_count(data: bytes, rest: bytes) -> None:
    assert sniff(data) in FORMATS.values()
    if len(data) >= 16:
        assert sniff(data + rest) == sniff(data)
