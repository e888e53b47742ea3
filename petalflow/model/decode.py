"""From an encoded image to pixels, in TensorFlow ops: the one way that train, evaluate and serving share."""

import functools

import tensorflow as tf

# By what libjpeg can shrink while it decodes.
_RATIOS = (1, 2, 4, 8)

# Orientation is said in the first segments of a JPEG; a segment is at most 64 KiB.
_HEAD_BYTES = 256 << 10
_MAX_SEGMENTS = 32
_ORIENTATION_TAG = 0x0112
# Of bytes (\C), which need not be text.
_WITH_EXIF = r"\C*Exif\x00\x00\C*"


def decode_and_resize(data: tf.Tensor, size_px: int) -> tf.Tensor:
    """Decodes one image as it is meant to be seen and resizes it.

    The whole image is squeezed to a square by bilinear interpolation, as `keras.utils.image_dataset_from_directory`
    does. That function leaves pixels out of an image that shrinks by more than two; here they are averaged. A large
    JPEG is shrunk while it is decoded, which saves more time than that takes; other formats take longer for it.

    Args:
        data: Scalar string: a JPEG, PNG, GIF (first frame), BMP or WebP file.
        size_px: Height and width of the result.

    Returns:
        uint8 [size_px, size_px, 3], values 0..255.
    """
    image = tf.cond(_is_jpeg(data), lambda: _decode_jpeg(data, size_px), lambda: _decode_other(data))
    image.set_shape([None, None, 3])
    return _squeezed(image, size_px)


def decode_upright(data: tf.Tensor, size_px: int) -> tf.Tensor:
    """Gives what `decode_and_resize` gives, of an upright JPEG or PNG, as a dataset's are; in half the time.

    To look for a format and for an orientation takes longer than to decode a small photo, even if nothing is found:
    the nodes of a branch that is not taken are gone through all the same.

    Args:
        data: Scalar string.
        size_px: Height and width of the result.

    Returns:
        uint8 [size_px, size_px, 3], values 0..255.
    """
    return _squeezed(_decode_pixels(data, size_px), size_px)


def _squeezed(image: tf.Tensor, size_px: int) -> tf.Tensor:
    """Resizes uint8 [height, width, 3] by bilinear interpolation, or by areas if a side shrinks by more than two."""
    images, size = image[tf.newaxis], [size_px, size_px]
    resized = tf.cond(
        tf.reduce_max(tf.shape(image)[:2]) > 2 * size_px,
        lambda: tf.raw_ops.ResizeArea(images=images, size=size),
        lambda: tf.raw_ops.ResizeBilinear(images=images, size=size, half_pixel_centers=True),
    )
    return tf.ensure_shape(tf.cast(tf.round(resized[0]), tf.uint8), [size_px, size_px, 3])


def _decode_jpeg(data: tf.Tensor, size_px: int) -> tf.Tensor:
    image = _decode_pixels(data, size_px)
    # Walking through the segments takes long, and many files have not what is looked for.
    has_exif = tf.strings.regex_full_match(tf.strings.substr(data, 0, _HEAD_BYTES), _WITH_EXIF)
    return tf.cond(has_exif, lambda: upright(image, exif_orientation(data)), lambda: image)


def _decode_pixels(data: tf.Tensor, size_px: int) -> tf.Tensor:
    """Decodes a JPEG or PNG, a JPEG as small as it can be while no side is below `size_px`.

    Where its sides are at least twice, four or eight times that, every second, fourth or eighth of them is computed,
    each of what it stands for (ITU-T T.81's transform of 8 by 8, taken to fewer points).
    """

    def by(ratio: int) -> tf.Tensor:
        # The accurate transform is what Pillow uses, so that both see the same pixels. PNGs are read too.
        return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    short = tf.cond(_is_jpeg(data), lambda: tf.reduce_min(tf.io.extract_jpeg_shape(data)[:2]), lambda: tf.constant(0))
    fitting = tf.reduce_sum(tf.cast(short >= [ratio * size_px for ratio in _RATIOS[1:]], tf.int32))
    return tf.switch_case(fitting, [functools.partial(by, ratio) for ratio in _RATIOS])


def _is_jpeg(data: tf.Tensor) -> tf.Tensor:
    return tf.equal(tf.strings.substr(data, 0, 3), b"\xff\xd8\xff")


def _decode_other(data: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(data, channels=3, expand_animations=False)


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns an image as its EXIF orientation asks.

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


def exif_orientation(data: tf.Tensor) -> tf.Tensor:
    """Reads the EXIF orientation of a JPEG.

    Args:
        data: Scalar string, the file.

    Returns:
        Scalar int32, 1..8; 1 where the file says nothing or nonsense.
    """
    # Zeros behind the end let every read below stay in bounds without a check of its own.
    head = tf.concat([tf.io.decode_raw(tf.strings.substr(data, 0, _HEAD_BYTES), tf.uint8), tf.zeros([64], tf.uint8)], 0)
    head = tf.cast(head, tf.int32)
    limit = tf.size(head) - 64

    def is_segment(at: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        # Every segment before the pixels starts with FF and a marker; DA begins the pixels.
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
    little = head[start] == 0x49  # "II"; big-endian files say "MM"

    def number(at: tf.Tensor, size: int) -> tf.Tensor:
        # A value beyond the head is nonsense or of no interest; clamping makes it read zeros.
        digits = head[tf.clip_by_value(at, 0, limit) :][:size]
        digits = tf.cond(little, lambda: digits[::-1], lambda: digits)
        return tf.reduce_sum(digits * [256**power for power in reversed(range(size))])

    directory = start + tf.clip_by_value(number(start + 4, 4), 0, limit)
    entries = number(directory, 2)
    # An entry: tag (2 bytes), type (2), count (4), value (4, the first two for a short).
    at = tf.clip_by_value(directory + 2 + 12 * tf.range(tf.minimum(entries, 64)), 0, limit)
    pairs = tf.gather(head, at[:, None] + [0, 1, 8, 9])
    pairs = tf.cond(little, lambda: tf.gather(pairs, [1, 0, 3, 2], axis=1), lambda: pairs)
    tags, values = pairs[:, 0] * 256 + pairs[:, 1], pairs[:, 2] * 256 + pairs[:, 3]
    return tf.reduce_sum(tf.where(tags == _ORIENTATION_TAG, values, 0))
