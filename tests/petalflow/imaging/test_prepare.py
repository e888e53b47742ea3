import io
import re
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from petalflow.imaging import Prepared, Rejected, Rules, prepare, sniff
from petalflow.imaging.prepare import means, room_for
from tests.petalflow.imaging.images import bare_png, decode, encode, oriented, photo, png_chunk


def reason(data: bytes, rules: Rules = Rules()) -> str:
    with pytest.raises(Rejected) as caught:
        prepare(data, rules)
    assert caught.value.sentence
    assert "\n" not in caught.value.sentence
    return caught.value.reason


CLEAN = {
    "jpeg": encode(photo(), "JPEG"),
    "grey jpeg": encode(photo().convert("L"), "JPEG"),
    "progressive jpeg": encode(photo(), "JPEG", progressive=True),
    "png": encode(photo(), "PNG"),
    "grey png": encode(photo().convert("L"), "PNG"),
}


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_jpeg_or_png_passes_byte_for_byte(name: str) -> None:
    means = prepare(CLEAN[name]).means
    expected = Prepared(CLEAN[name], name.split()[-1], width_px=48, height_px=32, means=means, rewritten=False)
    assert prepare(CLEAN[name]) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("form", "tolerance"), [("JPEG", 5), ("PNG", 0)])
def test_every_orientation_is_turned_upright(form: str, tolerance: float, orientation: int) -> None:
    data = oriented(form, orientation)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    prepared = prepare(data)
    assert (prepared.width_px, prepared.height_px) == upright.size
    assert prepared.rewritten is (orientation != 1)
    # The pixels that are written are upright, and so is their metadata: nobody turns them again.
    assert Image.open(io.BytesIO(prepared.data)).getexif().get(ExifTags.Base.Orientation, 1) == 1
    assert np.abs(decode(prepared.data) - np.asarray(upright, np.int16)).mean() <= tolerance


@pytest.mark.parametrize("orientation", [0, 9, 200])
def test_an_invalid_orientation_is_ignored(orientation: int) -> None:
    data = oriented("JPEG", orientation)
    assert prepare(data).data == data


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_transparent_pixels_are_laid_over_white(form: str) -> None:
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[:, :, 0] = 200  # red
    rgba[:, :, 3] = [0, 128, 255]
    options = {"lossless": True} if form == "WEBP" else {}
    prepared = prepare(encode(Image.fromarray(rgba), form, **options))
    expected = [[255, 255, 255], [227, 127, 127], [200, 0, 0]]
    tolerance = 1 if prepared.format == "png" else 40  # tiny JPEGs smear colours
    assert np.abs(decode(prepared.data)[0] - expected).max() <= tolerance


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "I;16"])
def test_a_colour_that_means_transparent_becomes_white(mode: str) -> None:
    dark = {"1": 0, "L": 9, "RGB": (9, 9, 9), "I;16": 9 << 8}[mode]
    image = Image.new(mode, (4, 4), dark)
    image.putpixel((3, 3), {"1": 1, "L": 99, "RGB": (99, 99, 99), "I;16": 99 << 8}[mode])
    prepared = prepare(encode(image, "PNG", transparency=dark))
    assert prepared.rewritten
    assert decode(prepared.data)[0, 0].tolist() == [255, 255, 255]
    assert decode(prepared.data)[3, 3].tolist() == ([255] * 3 if mode == "1" else [99] * 3)


def test_grey_with_alpha_is_laid_over_white() -> None:
    pixels = np.array([[[40, 0], [40, 255]]], np.uint8)
    assert decode(prepare(encode(Image.fromarray(pixels, "LA"), "PNG")).data)[0].tolist() == [[255] * 3, [40] * 3]


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP"])
def test_a_palette_becomes_its_colours(form: str) -> None:
    image = photo().quantize(16)
    prepared = prepare(encode(image, form))
    assert (prepared.format, prepared.rewritten) == ("png", True)
    np.testing.assert_array_equal(decode(prepared.data), np.asarray(image.convert("RGB"), np.int16))


def test_cmyk_becomes_rgb_of_the_same_colours() -> None:
    image = photo().convert("CMYK")
    prepared = prepare(encode(image, "JPEG", quality=95))
    assert (prepared.format, prepared.rewritten) == ("jpeg", True)
    assert Image.open(io.BytesIO(prepared.data)).mode == "RGB"
    assert np.abs(decode(prepared.data) - np.asarray(image.convert("RGB"), np.int16)).mean() < 6


def test_16_bits_keep_their_upper_8() -> None:
    grey = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    for form in ("PNG", "TIFF"):
        prepared = prepare(encode(Image.fromarray(grey), form))
        assert decode(prepared.data)[0].tolist() == [[value] * 3 for value in (0, 0, 1, 128, 255)]


def test_16_bit_colour_becomes_8_bit_although_pillow_calls_both_rgb() -> None:
    data = bare_png(1, 1, 16, 2, zlib.compress(b"\x00" + struct.pack(">3H", 65535, 32768, 256)))
    prepared = prepare(data)
    assert prepared.rewritten
    assert prepared.data[24] == 8
    assert decode(prepared.data)[0, 0].tolist() == [255, 128, 1]


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_1_bit_becomes_black_and_white(form: str) -> None:
    image = photo().convert("1")
    prepared = prepare(encode(image, form))
    assert prepared.rewritten
    np.testing.assert_array_equal(decode(prepared.data), np.asarray(image.convert("RGB"), np.int16))


@pytest.mark.parametrize(("form", "expected"), [("WEBP", "jpeg"), ("BMP", "png"), ("TIFF", "png"), ("PPM", "png")])
def test_lossy_images_stay_lossy_and_the_rest_lossless(form: str, expected: str) -> None:
    prepared = prepare(encode(photo(), form))
    assert (prepared.format, sniff(prepared.data), prepared.rewritten) == (expected, expected, True)
    if expected == "png":
        np.testing.assert_array_equal(decode(prepared.data), np.asarray(photo(), np.int16))


def test_of_several_frames_the_first_is_used() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(prepare(data).data)[0, 0].tolist() == [255, 0, 0]


def test_preparing_is_repeatable() -> None:
    data = oriented("JPEG", 6)
    assert prepare(data) == prepare(data)
    assert not prepare(prepare(data).data).rewritten


def test_an_empty_file_is_refused_as_empty() -> None:
    assert reason(b"") == "empty"


@pytest.mark.parametrize("data", [b"not an image\n", b"\x00" * 100, b"\xff\xd8\xff"])
def test_a_file_that_is_not_an_image_is_refused_as_such(data: bytes) -> None:
    assert reason(data) == "not_an_image"


@pytest.mark.parametrize("name", CLEAN)
def test_a_truncated_file_is_refused_as_unreadable(name: str) -> None:
    data = CLEAN[name]
    assert reason(data[: len(data) * 2 // 3]) == "unreadable"


def test_bytes_have_a_limit_that_they_may_reach() -> None:
    data = CLEAN["jpeg"]
    assert prepare(data, Rules(max_bytes=len(data))).data == data
    assert reason(data, Rules(max_bytes=len(data) - 1)) == "too_many_bytes"


def test_pixels_have_a_limit_that_they_may_reach() -> None:
    assert prepare(CLEAN["png"], Rules(max_pixels=48 * 32))
    assert reason(CLEAN["png"], Rules(max_pixels=48 * 32 - 1)) == "too_many_pixels"


def test_sides_have_a_limit_that_they_may_reach() -> None:
    assert prepare(CLEAN["png"], Rules(min_side_px=32))
    assert reason(CLEAN["png"], Rules(min_side_px=33)) == "too_small"


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    # If the pixels were decoded first, the file would be unreadable, since they are missing.
    assert reason(bare_png(50_000, 50_000, 8, 2, b"")) == "too_many_pixels"


def test_any_error_of_pillow_is_a_rejection() -> None:
    # Text of more than a mebibyte is a ValueError to Pillow, and after the pixels it comes while they are loaded.
    data, end = CLEAN["png"][:-12], CLEAN["png"][-12:]
    assert reason(data + png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2 << 20))) + end) == "unreadable"


@given(form=st.sampled_from(sorted(CLEAN)), data=st.data())
def test_damage_anywhere_is_refused_or_harmless(form: str, data: st.DataObject) -> None:
    damaged = bytearray(CLEAN[form])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)))
    try:
        prepared = prepare(bytes(damaged[:end]))
    except Rejected:
        return
    image = Image.open(io.BytesIO(prepared.data))
    image.load()
    assert image.size == (prepared.width_px, prepared.height_px)
    assert sniff(prepared.data) == prepared.format


def outcome(path: Path) -> Prepared | Rejected:
    try:
        return prepare(path.read_bytes())
    except Rejected as rejected:
        return rejected


def test_every_messy_file_is_prepared_or_refused(shared_data: Path) -> None:
    files = [path for path in sorted((shared_data / "messy").iterdir()) if path.name != "TABLE.md"]
    assert len(files) == 39
    for path in files:
        prepared = outcome(path)
        if isinstance(prepared, Rejected):
            assert "0x" not in prepared.sentence, "an address in memory differs from run to run"
            continue
        image = Image.open(io.BytesIO(prepared.data))
        assert image.format.lower() == sniff(prepared.data) == prepared.format, path.name
        assert image.mode in ("RGB", "L"), path.name
        assert image.size == (prepared.width_px, prepared.height_px), path.name
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1, path.name


def test_only_files_on_which_pillow_fails_are_refused(shared_data: Path) -> None:
    table = (shared_data / "messy" / "TABLE.md").read_text()
    rows = re.findall(r"^\| (\S+\.\w+) \|[^|]*\|[^|]*\| ([^|]*)", table, re.MULTILINE)
    failing = {name for name, pillow in rows if "FAILS" in pillow}
    assert len(rows) == 39
    assert len(failing) == 4
    refused = {name for name, _ in rows if isinstance(outcome(shared_data / "messy" / name), Rejected)}
    assert refused == failing


def exact(image: Image.Image) -> list[float]:
    return np.asarray(image.convert("RGB")).mean(axis=(0, 1)).tolist()


@pytest.mark.parametrize("size", [(1, 1), (48, 32), (95, 95)])
def test_small_images_are_measured_exactly(size: tuple[int, int]) -> None:
    assert means(photo(*size)) == pytest.approx(exact(photo(*size)), abs=0.006)


@pytest.mark.parametrize("size", [(96, 96), (300, 200), (97, 2), (20, 3000), (3000, 20)])
def test_larger_images_are_measured_within_a_level(size: tuple[int, int]) -> None:
    assert means(photo(*size)) == pytest.approx(exact(photo(*size)), abs=1)


@pytest.mark.parametrize("width", [5, 500])
def test_grey_counts_for_all_three(width: int) -> None:
    grey = photo(width).convert("L")
    assert means(grey) == means(grey.convert("RGB"))


def test_an_image_is_measured_the_same_whether_it_passes_or_is_encoded_again() -> None:
    as_it_is, turned = prepare(oriented("JPEG", 1)), prepare(oriented("JPEG", 6))
    assert not as_it_is.rewritten
    assert turned.rewritten
    assert turned.means == as_it_is.means


def test_transparent_pixels_are_measured_over_the_background() -> None:
    data = encode(Image.new("RGBA", (4, 4), (200, 0, 0, 0)), "PNG")
    assert prepare(data).means == (255, 255, 255)


_THREADS = 8


@pytest.mark.parametrize(
    ("pixels", "at_once"),
    [(1_000_000, 8), (16_000_000, 4), (30_000_000, 2), (100_000_000, 1)],
    ids=["small", "photos", "large", "larger than all the room"],
)
def test_as_many_images_are_decoded_at_once_as_there_is_room_for(pixels: int, at_once: int) -> None:
    together = threading.Barrier(at_once)  # passed only by so many who are inside at the same time
    inside, seen, lock = 0, [0], threading.Lock()

    def decode(_: int) -> None:
        nonlocal inside
        with room_for(pixels):
            with lock:
                inside += 1
                seen.append(inside)
            together.wait(timeout=60)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(decode, range(_THREADS)))
    assert (max(seen), inside) == (at_once, 0)
