"""TensorFlow decodes what passes unchanged, and what is encoded again, to the pixels that Pillow sees."""

import io
import struct
import zlib
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from petalflow.imaging import Prepared, Rejected, Rules, prepare
from petalflow.imaging.colour import as_srgb
from petalflow.model.decode import decode_pixels
from tests.petalflow.imaging.images import bare_png, encode, oriented, photo, png_chunk, rgb_rows

# Levels of grey, on average over an image.
_TOLERANCE = 2
# Nothing is shrunk on the way to this size.
_LARGE_PX = 1 << 16


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def decode_as_trained_on(data: tf.Tensor) -> tf.Tensor:
    """Decodes as decode_image does before it resizes."""
    return decode_pixels(data, _LARGE_PX)


def seen_by_tensorflow(prepared: Prepared) -> NDArray[np.int16]:
    return decode_as_trained_on(prepared.data).numpy().astype(np.int16)


def seen_by_pillow(data: bytes) -> NDArray[np.int16]:
    image = Image.open(io.BytesIO(data))
    image.load()
    pixels = as_srgb(image, (255, 255, 255))
    pixels.info = {key: image.info[key] for key in ("exif", "xmp", "XML:com.adobe.xmp") if key in image.info}
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # as damaged metadata may
        orientation = 1
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    pixels.info = {"exif": exif.tobytes()} if orientation in range(1, 9) else {}
    return np.asarray(ImageOps.exif_transpose(pixels), np.int16)


def outcome(data: bytes, rules: Rules = Rules()) -> Prepared | Rejected:
    try:
        return prepare(data, rules)
    except Rejected as rejected:
        return rejected


def difference(data: bytes, rules: Rules = Rules()) -> float:
    """Returns by how many levels the record differs from the file."""
    prepared = prepare(data, rules)
    found, expected = seen_by_tensorflow(prepared), seen_by_pillow(data)
    assert found.shape == expected.shape == (prepared.height_px, prepared.width_px, 3)
    return float(np.abs(found - expected).mean())


JPEGS = {
    "4:2:0": encode(photo(), "JPEG"),
    "4:4:4": encode(photo(), "JPEG", subsampling=0, quality=95),
    "4:2:2": encode(photo(), "JPEG", subsampling=1),
    "grey": encode(photo().convert("L"), "JPEG"),
    "progressive": encode(photo(), "JPEG", progressive=True),
    "restarts": encode(photo(), "JPEG", restart_marker_blocks=2),
    "progressive, restarts": encode(photo(), "JPEG", progressive=True, restart_marker_rows=1),
    "RGB": encode(photo(), "JPEG", keep_rgb=True),
    "upright": oriented("JPEG", 1),
    "odd size": encode(photo(37, 29), "JPEG"),
    "one pixel": encode(photo(1, 1), "JPEG"),
    "trailing junk": encode(photo(), "JPEG") + b"\xff\xd8 junk \xff\xc8" * 9,
}
PNGS = {
    "colour": encode(photo(), "PNG"),
    "grey": encode(photo().convert("L"), "PNG"),
    "resolution": encode(photo(), "PNG", dpi=(72, 72)),
    "odd size": encode(photo(37, 29), "PNG"),
    "one pixel": encode(photo(1, 1), "PNG"),
    "gamma": bare_png(48, 32, 8, 2, zlib.compress(rgb_rows(photo())), png_chunk(b"gAMA", struct.pack(">I", 100_000))),
    "trailing junk": encode(photo(), "PNG") + b"junk",
}
OTHERS = {
    "CMYK": encode(photo().convert("CMYK"), "JPEG", quality=100, subsampling=0),
    "on its side": oriented("JPEG", 6),
    "XMP": encode(photo(), "JPEG", xmp=b'<x tiff:Orientation="8"/>'),
    "PNG on its side": oriented("PNG", 5),
    "PNG XMP": bare_png(
        *(48, 32, 8, 2, zlib.compress(rgb_rows(photo()))),
        png_chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="3"/>'),
    ),
    "TIFF on its side": oriented("TIFF", 7),
    "WebP on its side": oriented("WEBP", 8),
    "AVIF": encode(photo(), "AVIF"),
    "JPEG 2000": encode(photo(), "JPEG2000"),
    "palette": encode(photo().quantize(16), "PNG"),
    "1 bit": encode(photo().convert("1"), "TIFF"),
    "alpha": encode(photo().convert("RGBA"), "WEBP"),
    "LAB": encode(Image.new("LAB", (9, 9), (120, 140, 100)), "TIFF"),
    "JPEG in TIFF": encode(photo(), "TIFF", compression="jpeg", quality=95),
    "GIF": encode(photo(), "GIF"),
    "BMP": encode(photo(), "BMP"),
    "TGA": encode(photo(), "TGA"),
    "QOI": encode(photo(), "QOI"),
}


@pytest.mark.parametrize("data", [*JPEGS.values(), *PNGS.values()], ids=[*JPEGS, *PNGS])
def test_clean_files_pass_and_are_the_same_pixels(data: bytes) -> None:
    assert prepare(data).data == data
    assert difference(data) == 0


@pytest.mark.parametrize("name", OTHERS)
def test_all_others_are_encoded_again_and_look_the_same(name: str) -> None:
    assert prepare(OTHERS[name]).rewritten
    assert difference(OTHERS[name]) <= _TOLERANCE


START_OF_SCAN = JPEGS["4:2:0"].index(b"\xff\xda")
EXIF_6 = oriented("JPEG", 6)
FIRST_SCANS = JPEGS["progressive"][: JPEGS["progressive"].index(b"\xff\xda", 400)]
ODD_JPEGS = {
    "no end": JPEGS["4:2:0"][:-2],
    "fill bytes": JPEGS["4:2:0"][:START_OF_SCAN] + b"\xff\xff\xff" + JPEGS["4:2:0"][START_OF_SCAN:],
    "junk between segments": JPEGS["4:2:0"][:START_OF_SCAN] + b"junk" + JPEGS["4:2:0"][START_OF_SCAN:],
    "a restart between segments": JPEGS["4:2:0"][:START_OF_SCAN] + b"\xff\xd0" + JPEGS["4:2:0"][START_OF_SCAN:],
    "an unknown marker among the pixels": JPEGS["4:2:0"][:-40] + b"\xff\xc8" + JPEGS["4:2:0"][-40:],
    "scans missing": FIRST_SCANS + b"\xff\xd9",
    "EXIF of no order": EXIF_6.replace(b"Exif\0\0MM", b"Exif\0\0MQ"),
    "a turn of another type": EXIF_6.replace(b"\x01\x12\x00\x03", b"\x01\x12\x00\x04"),
}
ROWS = rgb_rows(photo())
STREAM = zlib.compress(ROWS)
ODD_PNGS = {
    "no end": PNGS["colour"][:-12],
    "wrong checksum of pixels": PNGS["colour"][:-13] + b"?" + PNGS["colour"][-12:],
    "a stream without its end": bare_png(48, 32, 8, 2, STREAM[:-2]),
    "pixels in two places": bare_png(48, 32, 8, 2, STREAM + b"?").replace(
        png_chunk(b"IDAT", STREAM + b"?"),
        png_chunk(b"IDAT", STREAM) + png_chunk(b"tEXt", b"k\0v") + png_chunk(b"IDAT", b"?"),
    ),
    "a row missing": bare_png(48, 33, 8, 2, STREAM),
    "a window too small": bare_png(48, 32, 8, 2, b"\x08\x1d" + STREAM[2:]),
    "interlaced": bare_png(1, 1, 8, 2, zlib.compress(bytes(4))).replace(
        png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1)),
    ),
    "a chunk unknown": bare_png(48, 32, 8, 2, STREAM, png_chunk(b"odDs", b"?")),
}


@pytest.mark.parametrize("data", [*ODD_JPEGS.values(), *ODD_PNGS.values()], ids=[*ODD_JPEGS, *ODD_PNGS])
def test_files_that_only_pillow_tolerates_do_not_pass(data: bytes) -> None:
    prepared = outcome(data, Rules(jpeg_quality=100))
    if isinstance(prepared, Rejected):
        assert prepared.reason == "unreadable"
        return
    assert prepared.rewritten
    assert difference(data, Rules(jpeg_quality=100)) <= _TOLERANCE


@st.composite
def damaged(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """Draws a file with some bits turned, bytes put in or taken out, or its end cut off."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["set", "turn", "put", "take", "cut"])):
            case "set":
                data[at] = draw(st.sampled_from([0x00, 0x01, 0xC4, 0xD0, 0xD9, 0xFF]))
            case "turn":
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "put":
                marker = st.sampled_from([b"\xff\xd9", b"\xff\xff", b"\xff\xc8", b"\xff\xe1\0\4ab"])
                data[at:at] = draw(marker | st.binary(min_size=1, max_size=8))
            case "take":
                del data[at : at + draw(st.integers(1, 20))]
            case "cut":
                del data[max(at, len(data) * 3 // 4) :]
        data = data or bytearray(1)
    return bytes(data)


@hypothesis.settings(max_examples=400, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(damaged([*JPEGS.values(), *PNGS.values(), EXIF_6]))
def test_tensorflow_decodes_a_damaged_file_that_passes_as_pillow_does(data: bytes) -> None:
    if isinstance(outcome(data), Rejected):
        return
    # A quality of 95 does not preserve the noise that damage causes.
    assert difference(data, Rules(jpeg_quality=100)) <= _TOLERANCE


@hypothesis.settings(max_examples=300, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(damaged([*OTHERS.values()]) | st.binary(max_size=200))
def test_anything_is_prepared_or_rejected(data: bytes) -> None:
    prepared = outcome(data, Rules(max_pixels=1_000_000))
    if isinstance(prepared, Rejected):
        assert prepared.reason
        assert "\n" not in prepared.sentence
        return
    assert seen_by_tensorflow(prepared).shape == (prepared.height_px, prepared.width_px, 3)


def test_every_messy_file_is_the_same_to_tensorflow_as_to_pillow(shared_data: Path) -> None:
    compared = 0
    for file in sorted((shared_data / "messy").iterdir()):
        try:
            found = difference(file.read_bytes())
        except Rejected:
            continue
        assert found <= _TOLERANCE, file.name
        compared += 1
    assert compared == 35
