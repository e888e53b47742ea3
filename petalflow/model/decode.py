"""From an encoded image to pixels, in TensorFlow ops: train, evaluate and the served model call `decode_image`."""

import functools

import tensorflow as tf

from petalflow.imaging import Colour, Rules

WHITE = Rules().background
# The factors by which libjpeg can shrink while decoding.
_RATIOS = (1, 2, 4, 8)

_JPEG = b"\xff\xd8\xff"
# The orientation is in one of the first segments of a JPEG; a segment has at most 64 KiB.
_HEAD_BYTES = 256 << 10
_MAX_SEGMENTS = 32
_GIF_HEAD_BYTES = 1024
_ORIENTATION_TAG = 0x0112
# \C matches any byte: the header is not text.
_WITH_EXIF = r"\C*Exif\x00\x00\C*"


def decode_image(data: tf.Tensor, size_px: int, *, prepared: bool = False, background: Colour = WHITE) -> tf.Tensor:
    """Decodes an image, upright, and resizes it to a square: what train, evaluate and the served model all do.

    The whole image is squeezed to a square by bilinear interpolation, like `keras.utils.image_dataset_from_directory`.
    Keras skips pixels when an image shrinks by more than half; here they are averaged. A large JPEG is shrunk while it
    is decoded, which saves more time than the averaging costs; averaging makes other formats slower.

    Args:
        data: Scalar string: a JPEG, PNG, GIF (first frame), BMP or WebP file.
        size_px: Height and width of the result.
        prepared: True if convert wrote the image: a JPEG or PNG that is already upright and opaque. The result is the
            same, in half the time: TensorFlow visits the nodes of a branch that is not taken, too, so that looking for
            a format and an orientation takes longer than decoding a small photo.
        background: RGB, 0..255, shown where the image is transparent.

    Returns:
        uint8 [size_px, size_px, 3], values 0..255.
    """
    image = _decode_jpeg_or_png(data, size_px) if prepared else decode_pixels(data, size_px, background)
    return _resize(image, size_px)


def decode_pixels(data: tf.Tensor, min_side_px: int, background: Colour = WHITE) -> tf.Tensor:
    """Decodes an image of any of these formats, as `petalflow.imaging.prepare` does, and turns it upright.

    Colour profiles are not applied. A file that would lead to other pixels than `prepare` sees for another reason fails
    (InvalidArgumentError): an animated WebP, or a GIF with transparent pixels.

    Args:
        data: Scalar string: a JPEG, PNG, GIF (first frame), BMP or WebP file.
        min_side_px: A JPEG may be shrunk by 2, 4 or 8 while no side becomes shorter than this.
        background: RGB, 0..255, shown where the image is transparent.

    Returns:
        uint8 [height, width, 3], values 0..255.
    """
    is_jpeg = _starts_with(data, _JPEG)
    is_png, is_gif = _starts_with(data, b"\x89PNG\r\n\x1a\n"), _starts_with(data, b"GIF8")
    is_webp = _starts_with(data, b"RIFF") & (tf.strings.substr(data, 8, 4) == b"WEBP")
    kind = tf.argmax(tf.stack([is_jpeg, is_png, is_webp, is_gif, True]), output_type=tf.int32)
    image = tf.switch_case(
        kind,
        [
            lambda: _decode_jpeg(data, min_side_px),
            lambda: _decode_png(data, background),
            lambda: _decode_webp(data, background),
            lambda: _decode_gif(data),
            lambda: tf.io.decode_bmp(data, channels=3),
        ],
    )
    return tf.ensure_shape(image, [None, None, 3])


def _resize(image: tf.Tensor, size_px: int) -> tf.Tensor:
    """Resizes uint8 [height, width, 3] by bilinear interpolation; by area if a side shrinks by more than half."""
    images, size = image[tf.newaxis], [size_px, size_px]
    resized = tf.cond(
        tf.reduce_max(tf.shape(image)[:2]) > 2 * size_px,
        lambda: tf.raw_ops.ResizeArea(images=images, size=size),
        lambda: tf.raw_ops.ResizeBilinear(images=images, size=size, half_pixel_centers=True),
    )
    return tf.ensure_shape(tf.cast(tf.round(resized[0]), tf.uint8), [size_px, size_px, 3])


def _decode_jpeg(data: tf.Tensor, min_side_px: int) -> tf.Tensor:
    image = _decode_jpeg_or_png(data, min_side_px)
    # Parsing the segments is slow, and many files have no EXIF.
    has_exif = tf.strings.regex_full_match(tf.strings.substr(data, 0, _HEAD_BYTES), _WITH_EXIF)
    return tf.cond(has_exif, lambda: turn_upright(image, read_orientation(data)), lambda: image)


def _decode_png(data: tf.Tensor, background: Colour) -> tf.Tensor:
    """Decodes a PNG (its third edition: eXIf, section 11.3.4.5; tRNS, 11.3.1.1)."""
    colour_type = tf.strings.substr(data, 25, 1)
    # A colour or palette entries that are transparent are listed before the pixels.
    has_alpha = (colour_type == b"\x04") | (colour_type == b"\x06")
    has_alpha |= tf.strings.regex_full_match(tf.strings.substr(data, 0, _HEAD_BYTES), r"\C*tRNS\C*")
    image = tf.cond(
        has_alpha,
        lambda: _composite(tf.io.decode_png(data, channels=4), background),
        lambda: tf.io.decode_png(data, channels=3),
    )
    parts = tf.strings.split(data, "eXIf", maxsplit=1)
    return tf.cond(tf.size(parts) > 1, lambda: turn_upright(image, _orientation_of_tiff(parts[-1])), lambda: image)


def _decode_webp(data: tf.Tensor, background: Colour) -> tf.Tensor:
    """Decodes a still WebP (RFC 9649, sections 2.6 and 2.7).

    The op must be asked for the channels that the file has: with 0, it writes out of bounds for an animated image
    without alpha (TensorFlow 2.21).
    """
    first_chunk = tf.strings.substr(data, 12, 4)
    flags = _byte(data, 20)
    is_extended, is_lossless = first_chunk == b"VP8X", first_chunk == b"VP8L"
    # Lossless: the bit after 14 bits each for width and height, after the signature.
    has_alpha = (is_extended & _bit(flags, 0x10)) | (is_lossless & _bit(_byte(data, 24), 0x10))
    is_animated = is_extended & _bit(flags, 0x02)
    with tf.control_dependencies([tf.debugging.Assert(~is_animated, ["an animated WebP"])]):
        data = tf.identity(data)
    image = tf.cond(
        has_alpha,
        lambda: _composite(_still_webp(data, 4), background),
        lambda: _still_webp(data, 3),
    )
    parts = tf.strings.split(data, "EXIF", maxsplit=1)
    has_exif = is_extended & _bit(flags, 0x08) & (tf.size(parts) > 1)
    # The chunk's size, then the TIFF structure, which some programs precede with the header that JPEG has.
    exif = tf.strings.regex_replace(tf.strings.substr(parts[-1], 4, _HEAD_BYTES), r"^Exif\x00\x00", "")
    return tf.cond(has_exif, lambda: turn_upright(image, _orientation_of_tiff(exif)), lambda: image)


def _still_webp(data: tf.Tensor, channels: int) -> tf.Tensor:
    return tf.io.decode_image(data, channels=channels, expand_animations=False)


def _decode_gif(data: tf.Tensor) -> tf.Tensor:
    """Decodes the first frame of a GIF (GIF89a, section 23: the lowest bit of the flags is set if one is transparent).

    The op makes transparent pixels black.
    """
    # The extension that precedes the first frame follows the palette of at most 768 bytes.
    parts = tf.strings.split(tf.strings.substr(data, 0, _GIF_HEAD_BYTES), b"\x21\xf9\x04", maxsplit=1)
    is_transparent = (tf.size(parts) > 1) & _bit(_byte(parts[-1], 0), 0x01)
    with tf.control_dependencies([tf.debugging.Assert(~is_transparent, ["a GIF with transparent pixels"])]):
        return tf.io.decode_image(tf.identity(data), channels=3, expand_animations=False)


def _composite(rgba: tf.Tensor, background: Colour) -> tf.Tensor:
    """Returns uint8 [height, width, 4] over a colour as uint8 [height, width, 3], rounded as Pillow does."""
    rgba = tf.cast(rgba, tf.int32)
    alpha = rgba[..., 3:]
    products = rgba[..., :3] * alpha + tf.constant(background, tf.int32) * (255 - alpha)
    return tf.cast((products + 127) // 255, tf.uint8)


def _byte(data: tf.Tensor, at: int) -> tf.Tensor:
    """Returns a byte of a string, or 0 after its end."""
    return tf.io.decode_raw(tf.strings.substr(data, at, 1) + b"\0", tf.uint8)[0]


def _bit(byte: tf.Tensor, mask: int) -> tf.Tensor:
    return tf.bitwise.bitwise_and(byte, tf.constant(mask, tf.uint8)) != 0


def _decode_jpeg_or_png(data: tf.Tensor, min_side_px: int) -> tf.Tensor:
    """Decodes a JPEG or PNG; a JPEG at the smallest scale of 1, 1/2, 1/4, 1/8 with no side shorter than `min_side_px`.

    Scaled decoding computes fewer points of the 8 by 8 transform of ITU-T T.81, each the mean of what it stands for.
    """

    def decode_at(ratio: int) -> tf.Tensor:
        # Pillow uses the accurate transform too, so both see the same pixels. The op also reads PNG.
        return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    short = tf.cond(
        _starts_with(data, b"\xff\xd8\xff"),
        lambda: tf.reduce_min(tf.io.extract_jpeg_shape(data)[:2]),
        lambda: tf.constant(0),
    )
    fitting = tf.reduce_sum(tf.cast(short >= [ratio * min_side_px for ratio in _RATIOS[1:]], tf.int32))
    return tf.switch_case(fitting, [functools.partial(decode_at, ratio) for ratio in _RATIOS])


def _starts_with(data: tf.Tensor, head: bytes) -> tf.Tensor:
    return tf.equal(tf.strings.substr(data, 0, len(head)), head)


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors an image as its EXIF orientation demands.

    Args:
        image: uint8 [height, width, 3].
        orientation: Scalar int32, 1..8 (Exif 2.32, section 4.6.4, tag 0x0112).
    """
    transposed = tf.reduce_any(orientation == [5, 6, 7, 8])
    image = tf.cond(transposed, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    mirrored = tf.reduce_any(orientation == [2, 3, 6, 7])
    image = tf.cond(mirrored, lambda: image[:, ::-1], lambda: image)
    flipped = tf.reduce_any(orientation == [3, 4, 7, 8])
    return tf.cond(flipped, lambda: image[::-1], lambda: image)


def read_orientation(data: tf.Tensor) -> tf.Tensor:
    """Reads the EXIF orientation of a JPEG.

    Args:
        data: Scalar string, the file.

    Returns:
        Scalar int32, 1..8; 1 if the file has no valid orientation.
    """
    head = _padded_head(data)
    limit = tf.size(head) - 64

    def is_segment(at: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        # Every segment before the pixels starts with FF and a marker; DA starts the pixels.
        return (at < limit) & (head[at] == 0xFF) & (head[at + 1] != 0xDA)

    def step(at: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        is_exif = tf.reduce_all(
            head[at : at + 10] * [1, 1, 0, 0, 1, 1, 1, 1, 1, 1] == [255, 225, 0, 0, 69, 120, 105, 102, 0, 0]
        )
        length = head[at + 2] * 256 + head[at + 3]
        found = tf.cond(is_exif & (found == 0), lambda: _orientation_in_tiff(head, at + 10, limit), lambda: found)
        return tf.cond(found == 0, lambda: at + 2 + tf.maximum(length, 2), lambda: limit), found

    _, found = tf.while_loop(is_segment, step, (tf.constant(2), tf.constant(0)), maximum_iterations=_MAX_SEGMENTS)
    return _valid(found)


def _orientation_of_tiff(data: tf.Tensor) -> tf.Tensor:
    """Returns the orientation in a TIFF structure, 1..8; 1 if it states none or is not such a structure."""
    head, magic = _padded_head(data), tf.strings.substr(data, 0, 4)
    is_tiff = (magic == b"II*\x00") | (magic == b"MM\x00*")
    return _valid(tf.cond(is_tiff, lambda: _orientation_in_tiff(head, tf.constant(0), tf.size(head) - 64), lambda: 1))


def _padded_head(data: tf.Tensor) -> tf.Tensor:
    """Returns the first bytes as int32; padding with zeros keeps the reads of the functions below in bounds."""
    head = tf.io.decode_raw(tf.strings.substr(data, 0, _HEAD_BYTES), tf.uint8)
    return tf.cast(tf.concat([head, tf.zeros([64], tf.uint8)], 0), tf.int32)


def _valid(orientation: tf.Tensor) -> tf.Tensor:
    return tf.where((orientation >= 1) & (orientation <= 8), orientation, 1)


def _orientation_in_tiff(head: tf.Tensor, start: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
    """Returns the orientation in the TIFF structure at `start`, or 0 (TIFF 6.0, section 2)."""
    little = head[start] == 0x49  # "II" is little-endian, "MM" big-endian

    def number(at: tf.Tensor, size: int) -> tf.Tensor:
        # An offset beyond the head is invalid or irrelevant; clamping makes it read zeros.
        digits = head[tf.clip_by_value(at, 0, limit) :][:size]
        digits = tf.cond(little, lambda: digits[::-1], lambda: digits)
        return tf.reduce_sum(digits * [256**power for power in reversed(range(size))])

    directory = start + tf.clip_by_value(number(start + 4, 4), 0, limit)
    entries = number(directory, 2)
    # An entry: tag (2 bytes), type (2), count (4), value (4; a short is in the first two).
    at = tf.clip_by_value(directory + 2 + 12 * tf.range(tf.minimum(entries, 64)), 0, limit)
    pairs = tf.gather(head, at[:, None] + [0, 1, 8, 9])
    pairs = tf.cond(little, lambda: tf.gather(pairs, [1, 0, 3, 2], axis=1), lambda: pairs)
    tags, values = pairs[:, 0] * 256 + pairs[:, 1], pairs[:, 2] * 256 + pairs[:, 3]
    return tf.reduce_sum(tf.where(tags == _ORIENTATION_TAG, values, 0))
