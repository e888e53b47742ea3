"""Names files that are not images we read: what they are, and what to do about it."""

import re
import struct
from collections.abc import Callable
from typing import Final

import google_crc32c

from petalflow.imaging.heif import EXTRA, can_read_heif
from petalflow.imaging.rules import Rejected

# What is looked at of a file that begins with text.
_TEXT_BYTES = 1024
_HEIC_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_VIDEO_HEADS: Final = (b"\x1a\x45\xdf\xa3", b"FLV\x01", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x30\x26\xb2\x75")
_VIDEO_BOXES: Final = (b"moov", b"mdat", b"wide", b"free", b"skip")
_RAW_HEADS: Final = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0MRM")
_ARCHIVE_HEADS: Final = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh", b"\xfd7zXZ\0")
_LOST = "such as an error page that was saved in place of the image; download the file again"


def recognize(data: bytes) -> Rejected | None:
    """Returns why a file that could not be read is rejected, if its kind is known.

    Args:
        data: The file's bytes, which Pillow could not open or decode.

    Returns:
        A rejection with a stable reason and a sentence that says what the file is and what to do; None if its kind is
        unknown.
    """
    for reason, is_kind, sentence in _KINDS:
        if is_kind(data):
            return Rejected(reason, sentence)
    return None


def _begins(*heads: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(heads)


def _text(pattern: bytes) -> Callable[[bytes], bool]:
    """Returns a test of a file's first bytes, after a byte order mark and blanks."""
    compiled = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:" + pattern + rb")", re.IGNORECASE | re.DOTALL)
    return lambda data: compiled.match(data[:_TEXT_BYTES]) is not None


def _brand(data: bytes) -> bytes:
    """Returns the major brand of a file in the ISO base media format (ISO/IEC 14496-12, section 4.3), or b""."""
    return data[8:12] if data[4:8] == b"ftyp" else b""


def _is_video(data: bytes) -> bool:
    in_riff = data.startswith(b"RIFF") and data[8:12] == b"AVI "
    in_boxes = data.startswith(b"\0") and (data[4:8] in _VIDEO_BOXES or bool(_brand(data)))
    return in_riff or in_boxes or data.startswith(_VIDEO_HEADS)


def _is_tfrecord(data: bytes) -> bool:
    """Returns True if the first 12 bytes are the length of a record and its checksum."""
    if len(data) < 12:
        return False
    crc = google_crc32c.value(data[:8])
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF) == data[8:12]


def _frame(data: bytes) -> tuple[int, int]:
    """Returns the marker of a JPEG's frame header and its bits per sample (T.81, B.2.2); zeros if there is none."""
    at = 2
    while data.startswith(b"\xff\xd8") and at + 5 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return marker, data[at + 4]
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return 0, 0


def _is_text(data: bytes) -> bool:
    head = data[:_TEXT_BYTES]
    try:
        text = head.decode("utf-8") if len(data) <= _TEXT_BYTES else head[:-4].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return False
    return bool(text) and all(character.isprintable() or character in "\r\n\t\ufeff" for character in text)


# The first that matches counts. "not_an_image" is what any other file is rejected as, too.
_KINDS: Final[tuple[tuple[str, Callable[[bytes], bool], str], ...]] = (
    (
        "git_lfs_pointer",
        _begins(b"version https://git-lfs.github.com/"),
        "a Git LFS pointer in place of the image; run `git lfs pull` in the repository it comes from",
    ),
    ("html", _text(rb"<!doctype html|<html|<head|<body|<!--.*<html"), f"an HTML page, {_LOST}"),
    ("svg", _text(rb"<svg|<(?:\?xml|!).*<svg"), "an SVG drawing; convert it to PNG"),
    ("not_an_image", _text(rb"<\?xml"), f"an XML document, {_LOST}"),
    (
        "heic",
        lambda data: _brand(data) in _HEIC_BRANDS,
        "a damaged HEIC photo; copy the file again"
        if can_read_heif()
        else f"a HEIC photo; to read it, install the extra {EXTRA} (`pip install pi-heif`), or "
        "convert it to JPEG, for example with `heif-convert`",
    ),
    ("not_an_image", lambda data: _brand(data) in (b"avif", b"avis"), "a damaged AVIF image; copy the file again"),
    (
        "raw_photo",
        lambda data: _brand(data) == b"crx " or data.startswith(_RAW_HEADS),
        "a camera's raw photo; convert it to JPEG",
    ),
    ("video", _is_video, "a video; extract frames from it, for example with ffmpeg"),
    (
        "jpeg_12_bit",
        lambda data: _frame(data)[1] > 8 and _frame(data)[0] not in (0xC3, 0xF7),
        "a JPEG with more than 8 bits per sample; convert it to PNG, for example with `dcmj2pnm` or `djpeg`",
    ),
    (
        "jpeg_lossless",
        lambda data: _frame(data)[0] in (0xC3, 0xC7, 0xCB, 0xCF, 0xF7),
        "a lossless JPEG, as medical devices and cameras write them; convert it to PNG",
    ),
    ("pdf", _begins(b"%PDF-"), "a PDF document; extract its images, for example with `pdfimages -all`"),
    ("parquet", _begins(b"PAR1"), "a Parquet table, which may hold images; write each image to a file of its own"),
    (
        "tfrecord",
        _is_tfrecord,
        "a TFRecord file; give the folder of its TFDS dataset as the source, or write each image to a file of its own",
    ),
    ("archive", lambda data: data.startswith(_ARCHIVE_HEADS) or data[257:262] == b"ustar", "an archive; unpack it"),
    ("dicom", lambda data: data[128:132] == b"DICM", "a DICOM image; convert it to PNG, for example with `dcmj2pnm`"),
    ("not_an_image", _begins(b"\x00\x00\x01\x00", b"icns"), "an icon; convert it to PNG"),
    ("not_an_image", _begins(b"%!PS", b"\xc5\xd0\xd3\xc6"), "a PostScript drawing; convert it to PNG"),
    ("not_an_image", _begins(b"\x93NUMPY"), "a NumPy array; save it as PNG"),
    ("not_an_image", _begins(b"\xff\x0a", b"\x00\x00\x00\x0cJXL "), "a JPEG XL image; convert it to JPEG or PNG"),
    ("not_an_image", _begins(b"\x00\x05\x16\x07"), "metadata of macOS (AppleDouble); remove it"),
    ("not_an_image", lambda data: not data.strip(b"\0"), "nothing but zero bytes; copy the file again"),
    ("not_an_image", _is_text, "not an image but a text file"),
)
