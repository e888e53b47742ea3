"""Which JPEG and PNG files TensorFlow decodes exactly as Pillow does: those with a plain structure.

Pillow tolerates much that TensorFlow does not. An odd file costs a re-encoding; one that is overlooked fails a whole
training batch. So files pass only if everything in them is known to be harmless.
"""

import re
import struct
import zlib
from typing import Final

_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
_ALL: Final = (1 << 64) - 1
_START_OF_SCAN, _APP1, _END_OF_IMAGE = 0xDA, 0xE1, b"\xff\xd9"
# Baseline, extended and progressive frames; tables; restart interval; applications; comment (T.81, table B.1).
# No arithmetic coding: not every TensorFlow is built with it.
_SEGMENTS: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC4, 0xDA, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE})
# The end of coded pixels: in them, FF occurs only before 00, or in a restart marker.
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7]", re.DOTALL)
# Chunks that do not change pixels as TensorFlow and Pillow read them (PNG, third edition, section 11).
_PNG_CHUNKS: Final = frozenset(
    {b"IHDR", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs"}
    | {b"tIME", b"tEXt", b"zTXt", b"iTXt", b"eXIf"}
)
_GREY, _COLOUR = 0, 2
_PIECE_BYTES, _LARGEST_WINDOW = 1 << 20, 32 << 10
_ORIENTATION, _SHORT = 0x0112, 3
_TURNED = range(2, 9)


def is_plain_jpeg(data: bytes) -> bool:
    """Returns True if TensorFlow decodes a JPEG, which Pillow decoded, to the same pixels.

    That is so if every segment is known and follows directly on the one before or on the pixels, if its EXIF does not
    make `petalflow.model.decode` turn it, and if it has all its scans and an end. (No fill bytes: that function stops
    at them. An end: TensorFlow insists on it, Pillow does not. All scans: versions of libjpeg guess missing ones
    differently.)

    Args:
        data: A JPEG file that is upright as Pillow reads its metadata.
    """
    at, missing = 2, {0: _ALL}
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] in _SEGMENTS:
        marker, end = data[at + 1], at + 2 + (data[at + 2] << 8 | data[at + 3])
        is_exif = marker == _APP1 and data.startswith(b"Exif\0\0", at + 4)
        if is_exif and not _is_upright(data[at + 10 : end]):
            return False
        if marker in _FRAMES:
            missing = dict.fromkeys(data[at + 10 : end : 3], _ALL)
        elif marker == _START_OF_SCAN:
            _scan(missing, data[at + 4 : end])
            found = _NEXT_MARKER.search(data, end)
            end = found.start() if found else len(data)
        at = end
    return not any(missing.values()) and data.startswith(_END_OF_IMAGE, at)


def _scan(missing: dict[int, int], header: bytes) -> None:
    """Removes the coefficients that a scan completes from those missing of each component (T.81, B.2.3).

    Args:
        missing: Component -> a bit for each of its 64 coefficients, set if it is missing.
        header: Number of components, a pair of bytes for each, first and last coefficient, and successive
            approximation: bits before and bits still to come.
    """
    *_, first, last, bits = bytes(3) + header
    if last < 64 and bits & 15 == 0:
        completed = (_ALL >> (63 - last)) & (_ALL << first)
        for component in header[1:-3:2]:
            missing[component] = missing.get(component, 0) & ~completed


def _is_upright(exif: bytes) -> bool:
    """Returns True if EXIF is well-formed up to its orientation, and that is upright (TIFF 6.0, section 2)."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return False
    (directory,) = struct.unpack_from(order + "I", exif, 4)
    if directory + 2 > len(exif):
        return False
    (entries,) = struct.unpack_from(order + "H", exif, directory)
    if directory + 2 + 12 * entries > len(exif):
        return False
    fields = [struct.unpack_from(order + "HHIH", exif, directory + 2 + 12 * entry) for entry in range(entries)]
    found = [field[1:] for field in fields if field[0] == _ORIENTATION]
    return not found or (len(found) == 1 and found[0][:2] == (_SHORT, 1) and found[0][2] not in _TURNED)


def is_plain_png(data: bytes) -> bool:
    """Returns True if a PNG is 8-bit RGB or grey, complete, and made of known chunks with correct checksums.

    TensorFlow checks the checksums of pixels, and that they are complete; Pillow does not.

    Args:
        data: A PNG file that Pillow decoded.
    """
    at, kinds, pixels = 8, list[bytes](), list[bytes]()
    while kinds[-1:] != [b"IEND"]:
        if at + 12 > len(data):
            return False
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        checksum = int.from_bytes(data[end : end + 4])
        if kind not in _PNG_CHUNKS or zlib.crc32(memoryview(data)[at + 4 : end]) != checksum:
            return False
        if kind == b"IDAT":
            if pixels and kinds[-1] != b"IDAT":
                return False
            pixels.append(data[at + 8 : end])
        kinds.append(kind)
        at = end + 4
    width, height, depth, colour, *methods = struct.unpack_from(">IIBBBBB", data, 16)  # from IHDR, which comes first
    plain = kinds[0] == b"IHDR" and depth == 8 and colour in (_GREY, _COLOUR) and methods == [0, 0, 0]
    return plain and _holds(b"".join(pixels), height * (1 + width * (1 if colour == _GREY else 3)))


def _holds(stream: bytes, size: int) -> bool:
    """Returns True if a zlib stream is complete and correct, and inflates to at least `size` bytes (RFC 1950)."""
    if not stream or 256 << (stream[0] >> 4) < min(size, _LARGEST_WINDOW):
        return False  # libpng trusts the window size that a stream declares, Pillow does not
    inflater, inflated = zlib.decompressobj(), 0
    try:
        while stream and not inflater.eof:
            inflated += len(inflater.decompress(stream, _PIECE_BYTES))
            stream = inflater.unconsumed_tail
    except zlib.error:
        return False
    return inflater.eof and inflated >= size
