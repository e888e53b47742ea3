"""Opening a file with Pillow: which formats, and how large it may claim to be before anything is decoded."""

import io
import re
import struct
import warnings

from PIL import Image, UnidentifiedImageError

from petalflow.imaging.heif import can_read_heif
from petalflow.imaging.rules import Rejected, Rules
from petalflow.imaging.unsupported import recognize

# Our own limits are checked before decoding, and give a better message than Pillow's warning.
Image.MAX_IMAGE_PIXELS = None
# Odd metadata does not matter here; undecodable pixels raise. (For the whole process: catch_warnings is not safe with
# threads.)
warnings.filterwarnings("ignore", module=r"PIL\.")

# Formats of pictures, the most common first. Left out: containers whose contents Pillow opens unchecked (ICO, ICNS,
# FITS, IPTC), programs (EPS, WMF), and stubs that cannot be decoded.
_FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "AVIF", "JPEG2000", "PPM", "PSD", "QOI", "TGA", "PCX"),
    *("SGI", "SUN", "PIXAR", "MSP", "IM", "XBM", "XPM"),
    *(("HEIF",) if can_read_heif() else ()),
)

# TensorFlow's limits: fewer than 2^29 samples of three channels (jpeg_mem.cc), and libpng's limit on a side.
_DECODABLE_PIXELS = ((1 << 29) - 1) // 3
_DECODABLE_SIDE_PX = 1_000_000
_HEAD_BYTES = 16  # longer than any magic number that `sniff` knows
# TIFF 6.0, section 15.
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def open_image(data: bytes, rules: Rules) -> Image.Image:
    """Opens an image file without decoding its pixels.

    Args:
        data: The file's bytes.
        rules: What an image may be.

    Raises:
        Rejected: empty, too_many_bytes, too_many_pixels, too_large, too_small, several_frames, unreadable,
            not_an_image, or what `recognize` takes it for.
    """
    if not data:
        raise Rejected("empty", "the file is empty")
    check_bytes(len(data), rules)
    for size in _inner_sizes(data):
        _check_area(size, rules)
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        tile = _tile_size(image)
        _check_size(image.size, rules)
        _check_area(tile, rules)
        frames = _frames(image) if rules.frames == "reject" else 1
    except UnidentifiedImageError:
        raise recognize(data) or _unknown(data) from None
    except Rejected:
        raise
    except Exception as error:  # Pillow's plugins raise all kinds of errors
        raise Rejected("unreadable", f"cannot be opened: {one_line(error)}") from None
    if frames > 1:
        raise Rejected("several_frames", f"{frames} frames where one image is expected")
    return image


def _unknown(data: bytes) -> Rejected:
    form = sniff(data)
    known = f"begins like {form.upper()}, but cannot be opened" if form != "other" else "not an image in a known format"
    return Rejected("not_an_image", known)


def check_bytes(size_bytes: int, rules: Rules) -> None:
    """Raises Rejected, too_many_bytes, for a file that is too large to be read."""
    if size_bytes > rules.max_bytes:
        raise Rejected("too_many_bytes", f"{size_bytes:,} bytes are more than the {rules.max_bytes:,} allowed")


def one_line(error: Exception) -> str:
    """Returns an error's message on one line, the same in every run."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r" at 0x[0-9a-f]+", "", text)[:200]


def _check_size(size: tuple[int, int], rules: Rules) -> None:
    width, height = size
    _check_area(size, rules)
    if max(width, height) > min(rules.max_side_px, _DECODABLE_SIDE_PX):
        allowed = min(rules.max_side_px, _DECODABLE_SIDE_PX)
        raise Rejected("too_large", f"{width}×{height} is larger than {allowed} px on a side")
    if min(width, height) < rules.min_side_px:
        raise Rejected("too_small", f"{width}×{height} is smaller than {rules.min_side_px} px on a side")


def _check_area(size: tuple[int, int], rules: Rules) -> None:
    width, height = size
    allowed = min(rules.max_pixels, _DECODABLE_PIXELS)
    if width * height > allowed:
        raise Rejected("too_many_pixels", f"{width}×{height} is more than the {allowed:,} pixels allowed")


def _inner_sizes(data: bytes) -> list[tuple[int, int]]:
    """Returns sizes in a file's head that Pillow acts on before it reports them."""
    if data.startswith(b"RIFF") and data[8:16] == b"WEBPVP8X" and len(data) >= 30:
        # The canvas, for which libwebp allocates memory on opening (WebP container specification).
        return [(1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little"))]
    codestream = data.find(b"\xff\x4f\xff\x51") if data[4:8] == b"jP  " else -1
    if codestream >= 0 and len(data) >= codestream + 16:
        # Pillow reads the size from the box around a JPEG 2000 codestream, OpenJPEG from the codestream (T.800, A.5.1).
        return [struct.unpack_from(">II", data, codestream + 8)]
    return []


def _tile_size(image: Image.Image) -> tuple[int, int]:
    """Returns the size of the tiles of a tiled TIFF, which are decoded whole and may exceed the image; else zeros."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(_TILE_WIDTH, 0)), int(tags.get(_TILE_LENGTH, 0))


def _frames(image: Image.Image) -> int:
    # An MPO holds a photo and its preview, depth map or stereo view; the layers of a PSD make one picture.
    return 1 if image.format in ("MPO", "PSD") else getattr(image, "n_frames", 1)


def sniff(data: bytes) -> str:
    """Returns the format of an image file by its first bytes, since file names can be wrong.

    Args:
        data: The file's bytes; the first 16 decide.

    Returns:
        One of "jpeg", "png", "gif", "webp", "bmp", "tiff", or "other".
    """
    head = data[:_HEAD_BYTES]
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM"):
        return "bmp"
    if head.startswith((b"II*\x00", b"MM\x00*")):
        return "tiff"
    return "other"
