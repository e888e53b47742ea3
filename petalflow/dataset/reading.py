"""A dataset as tf.data: parsing here, decoding by the one function that serving uses too."""

import tensorflow as tf

from petalflow.dataset.metadata import Dataset
from petalflow.dataset.record import FILENAME, IMAGE, LABEL, SHA256
from petalflow.model.decode import decode_and_resize

_SCHEMA = {
    IMAGE: tf.io.FixedLenFeature([], tf.string),
    LABEL: tf.io.FixedLenFeature([], tf.int64),
    FILENAME: tf.io.FixedLenFeature([], tf.string),
    SHA256: tf.io.FixedLenFeature([], tf.string),
}


def encoded_examples(dataset: Dataset, split: str) -> tf.data.Dataset:
    """Returns the records of a split, in order, with images still encoded.

    Yields dicts of scalars: image (string), label (int64), filename (string), sha256 (string).
    """
    files = [str(path) for path in dataset.paths(split)]
    records = tf.data.TFRecordDataset(files, buffer_size=8 << 20)
    return records.map(lambda data: tf.io.parse_single_example(data, _SCHEMA), num_parallel_calls=tf.data.AUTOTUNE)


def decoded_images(dataset: Dataset, split: str, size_px: int) -> tf.data.Dataset:
    """Returns the images and labels of a split, in order.

    Yields pairs of an image, uint8 [size_px, size_px, 3], and a label, int64 scalar.
    """
    return encoded_examples(dataset, split).map(
        lambda example: (decode_and_resize(example[IMAGE], size_px), example[LABEL]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
