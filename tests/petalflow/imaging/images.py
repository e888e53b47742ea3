"""Images for these tests, and what Pillow makes of them."""

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFilter, ImageOps


def photo(width: int = 48, height: int = 32) -> Image.Image:
    """Returns a smooth RGB image without any symmetry, so that each rotation looks different."""
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(3))
    image.paste((250, 240, 30), (0, 0, width // 3, height // 4))
    return image


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def decode(data: bytes) -> NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(data)), np.int16)


def oriented(form: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encode(photo(), form, exif=exif)


def upright(data: bytes) -> NDArray[np.int16]:
    """Returns the pixels of a file as Pillow decodes it, upright."""
    image = Image.open(io.BytesIO(data))
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.int16)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bare_png(width: int, height: int, depth: int, colour: int, stream: bytes, before: bytes = b"") -> bytes:
    """Returns a PNG with correct checksums and any stream of pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", stream), (b"IEND", b"")]
    first, *rest = (png_chunk(*chunk) for chunk in chunks)
    return b"\x89PNG\r\n\x1a\n" + first + before + b"".join(rest)


def rgb_rows(image: Image.Image) -> bytes:
    """Returns an image's rows as they stand in a PNG before compression, unfiltered."""
    return b"".join(b"\0" + row.tobytes() for row in np.asarray(image))


def icc_profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Returns a display or output profile (ICC.1:2001-04) of the tags given."""
    name = b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78)
    tags = {b"desc": name, b"wtpt": xyz(0.9642, 1, 0.8249)} | tags
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += padded
    pcs, kind = (b"Lab ", b"prtr") if space == b"CMYK" else (b"XYZ ", b"mntr")
    header = b"\0\0\0\0\x02\x10\0\0" + kind + space + pcs + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    header += bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    rest = header + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(rest) + 4) + rest


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def gamma(exponent: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(exponent * 256))


def rgb_profile(exponent: float, primaries: list[tuple[float, float, float]]) -> bytes:
    tags = {name + b"XYZ": xyz(*value) for name, value in zip((b"r", b"g", b"b"), primaries, strict=True)}
    return icc_profile(b"RGB ", tags | {name + b"TRC": gamma(exponent) for name in (b"r", b"g", b"b")})


def grey_profile(exponent: float) -> bytes:
    return icc_profile(b"GRAY", {b"kTRC": gamma(exponent)})


def cmyk_profile() -> bytes:
    """Returns a profile of a printer whose cyan is red, so that no formula gives the correct colour by chance."""
    # Each of 16 corners in Lab: C counts 8, M 4, Y 2, K 1.
    corners = [(100 - 100 * (index & 1), 0, 0) if index < 8 else (50, 60, 40) for index in range(16)]
    grid = b"".join(struct.pack("3B", round(light * 2.55), a + 128, b + 128) for light, a, b in corners)
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 * value for value in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + grid + ramp * 3
    return icc_profile(b"CMYK", {b"A2B0": table})
