import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.dataset import write_shard
from petalflow.imaging import Rejected, prepare
from petalflow.imaging.unsupported import recognize
from tests.petalflow.imaging.images import encode, photo

_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
_FRAME = b"\xff\xc0\x00\x11"


def patched_jpeg(marker: int, bits: int) -> bytes:
    """Returns a JPEG whose frame header states another process and another precision."""
    head, _, tail = encode(photo(), "JPEG").partition(_FRAME)
    assert tail
    return head + bytes([0xFF, marker]) + _FRAME[2:] + bytes([bits]) + tail[1:]


def tfrecord(tmp_path: Path) -> bytes:
    write_shard(tmp_path / "a.tfrecord", [b"one", b"two"])
    return (tmp_path / "a.tfrecord").read_bytes()


def parquet(tmp_path: Path) -> bytes:
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "a.parquet")
    return (tmp_path / "a.parquet").read_bytes()


def archive(tmp_path: Path) -> bytes:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"), io.BytesIO())
    return (tmp_path / "a.tar").read_bytes()


def zipped(tmp_path: Path) -> bytes:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.jpg", b"x")
    return (tmp_path / "a.zip").read_bytes()


def boxes(brand: bytes) -> Callable[[Path], bytes]:
    return lambda _: b"\0\0\0\x18ftyp" + brand + bytes(4) + b"mif1" + bytes(40)


def given_bytes(data: bytes) -> Callable[[Path], bytes]:
    return lambda _: data


# Name -> makes the file; the reason; words of the sentence.
KINDS: dict[str, tuple[Callable[[Path], bytes], str, str]] = {
    "lfs": (given_bytes(_POINTER), "git_lfs_pointer", "git lfs pull"),
    "html": (given_bytes(b"<!DOCTYPE html><html><title>404</title></html>"), "html", "download the file again"),
    "html after blanks": (given_bytes(b"\xef\xbb\xbf\n  <HTML lang='en'>"), "html", "an HTML page"),
    "s3 error": (given_bytes(b'<?xml version="1.0"?><Error><Code>AccessDenied'), "not_an_image", "an XML document"),
    "svg": (given_bytes(b'<svg xmlns="http://www.w3.org/2000/svg"/>'), "svg", "convert it to PNG"),
    "svg with a head": (given_bytes(b'<?xml version="1.0"?>\n<!-- x -->\n<svg/>'), "svg", "an SVG drawing"),
    "heic": (boxes(b"heic"), "heic", "HEIC photo"),
    "heif sequence": (boxes(b"msf1"), "heic", "HEIC photo"),
    "mp4": (boxes(b"isom"), "video", "ffmpeg"),
    "mov": (boxes(b"qt  "), "video", "a video"),
    "old mov": (given_bytes(b"\0\0\0\x08wide" + bytes(40)), "video", "a video"),
    "avi": (given_bytes(b"RIFF\0\0\0\0AVI LIST"), "video", "a video"),
    "webm": (given_bytes(b"\x1a\x45\xdf\xa3" + bytes(40)), "video", "a video"),
    "canon raw": (boxes(b"crx "), "raw_photo", "convert it to JPEG"),
    "pdf": (given_bytes(b"%PDF-1.7\n"), "pdf", "pdfimages"),
    "parquet": (parquet, "parquet", "a Parquet table"),
    "tfrecord": (tfrecord, "tfrecord", "TFDS"),
    "tar": (archive, "archive", "unpack it"),
    "zip": (zipped, "archive", "unpack it"),
    "dicom": (given_bytes(bytes(128) + b"DICM" + bytes(50)), "dicom", "a DICOM image"),
    "12-bit jpeg": (given_bytes(patched_jpeg(0xC1, 12)), "jpeg_12_bit", "8 bits per sample"),
    "lossless jpeg": (given_bytes(patched_jpeg(0xC3, 8)), "jpeg_lossless", "a lossless JPEG"),
    "12-bit lossless jpeg": (given_bytes(patched_jpeg(0xC3, 12)), "jpeg_lossless", "a lossless JPEG"),
    "jpeg-ls": (given_bytes(patched_jpeg(0xF7, 8)), "jpeg_lossless", "a lossless JPEG"),
    "jpeg xl": (given_bytes(b"\xff\x0a" + bytes(20)), "not_an_image", "JPEG XL"),
    "numpy": (given_bytes(b"\x93NUMPY\x01\x00"), "not_an_image", "a NumPy array"),
    "macos": (given_bytes(b"\x00\x05\x16\x07" + bytes(50)), "not_an_image", "AppleDouble"),
    "zeros": (given_bytes(bytes(5000)), "not_an_image", "zero bytes"),
    "json": (given_bytes(json.dumps({"error": "not found"}).encode()), "not_an_image", "not an image but a text file"),
    "german": (given_bytes("Größe: 3\n".encode() * 300), "not_an_image", "not an image but a text file"),
    "noise": (
        given_bytes(np.random.default_rng(1).bytes(4000)),
        "not_an_image",
        "not an image in a known format",
    ),
    "cut jpeg": (given_bytes(b"\xff\xd8\xff"), "not_an_image", "begins like JPEG, but cannot be opened"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_rejected_file_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    make, reason, words = KINDS[name]
    with pytest.raises(Rejected) as caught:
        prepare(make(tmp_path))
    assert (caught.value.reason, words in caught.value.sentence) == (reason, True), caught.value.sentence
    assert "\n" not in caught.value.sentence


@given(st.binary(max_size=300))
def test_any_bytes_are_recognized_without_an_error(data: bytes) -> None:
    found = recognize(data)
    assert found is None or found.sentence


@given(st.integers(2, 400))
def test_a_jpeg_cut_anywhere_is_no_other_kind(length: int) -> None:
    assert recognize(encode(photo(), "JPEG")[:length]) is None
