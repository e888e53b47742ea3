"""From an encoded image to pixels, in TensorFlow ops: train, evaluate and the served model call `decode_image`."""

import functools

import tensorflow as tf

# The factors by which libjpeg can shrink while decoding.
_RATIOS = (1, 2, 4, 8)

# The orientation is in one of the first segments of a JPEG; a segment has at most 64 KiB.
_HEAD_BYTES = 256 << 10
_MAX_SEGMENTS = 32
_ORIENTATION_TAG = 0x0112
# \C matches any byte: the header is not text.
_WITH_EXIF = r"\C*Exif\x00\x00\C*"


def decode_image(data: tf.Tensor, size_px: int, *, prepared: bool = False) -> tf.Tensor:
    """Decodes an image, upright, and resizes it to a square: what train, evaluate and the served model all do.

    The whole image is squeezed to a square by bilinear interpolation, like `keras.utils.image_dataset_from_directory`.
    Keras skips pixels when an image shrinks by more than half; here they are averaged. A large JPEG is shrunk while it
    is decoded, which saves more time than the averaging costs; averaging makes other formats slower.

    Args:
        data: Scalar string: a JPEG, PNG, GIF (first frame), BMP or WebP file.
        size_px: Height and width of the result.
        prepared: True if convert wrote the image: a JPEG or PNG that is already upright. The result is the same, in
            half the time: TensorFlow visits the nodes of a branch that is not taken, too, so that looking for a format
            and an orientation takes longer than decoding a small photo.

    Returns:
        uint8 [size_px, size_px, 3], values 0..255.
    """
    return _resize(_decode_jpeg_or_png(data, size_px) if prepared else decode_pixels(data, size_px), size_px)


def decode_pixels(data: tf.Tensor, min_side_px: int) -> tf.Tensor:
    """Decodes an image of any of these formats and turns it upright.

    Args:
        data: Scalar string: a JPEG, PNG, GIF (first frame), BMP or WebP file.
        min_side_px: A JPEG may be shrunk by 2, 4 or 8 while no side becomes shorter than this.

    Returns:
        uint8 [height, width, 3], values 0..255.
    """
    image = tf.cond(
        _is_jpeg(data),
        lambda: _decode_jpeg(data, min_side_px),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
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


def _decode_jpeg_or_png(data: tf.Tensor, min_side_px: int) -> tf.Tensor:
    """Decodes a JPEG or PNG; a JPEG at the smallest scale of 1, 1/2, 1/4, 1/8 with no side shorter than `min_side_px`.

    Scaled decoding computes fewer points of the 8 by 8 transform of ITU-T T.81, each the mean of what it stands for.
    """

    def decode_at(ratio: int) -> tf.Tensor:
        # Pillow uses the accurate transform too, so both see the same pixels. The op also reads PNG.
        return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    short = tf.cond(_is_jpeg(data), lambda: tf.reduce_min(tf.io.extract_jpeg_shape(data)[:2]), lambda: tf.constant(0))
    fitting = tf.reduce_sum(tf.cast(short >= [ratio * min_side_px for ratio in _RATIOS[1:]], tf.int32))
    return tf.switch_case(fitting, [functools.partial(decode_at, ratio) for ratio in _RATIOS])


def _is_jpeg(data: tf.Tensor) -> tf.Tensor:
    return tf.equal(tf.strings.substr(data, 0, 3), b"\xff\xd8\xff")


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
    # Padding with zeros keeps every read below in bounds.
    head = tf.concat([tf.io.decode_raw(tf.strings.substr(data, 0, _HEAD_BYTES), tf.uint8), tf.zeros([64], tf.uint8)], 0)
    head = tf.cast(head, tf.int32)
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
    return tf.where((found >= 1) & (found <= 8), found, 1)


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
