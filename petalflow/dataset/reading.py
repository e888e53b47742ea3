"""A dataset as tf.data: parsing here, decoding by the one function that serving uses too."""

import tensorflow as tf

from petalflow.dataset.metadata import Dataset
from petalflow.dataset.record import FILENAME, IMAGE, LABEL, SHA256
from petalflow.model.decode import decode_and_resize

_TEXT = tf.io.FixedLenFeature([], tf.string)


def encoded_examples(dataset: Dataset, split: str) -> tf.data.Dataset:
    """Returns the records of a split, in order, with images still encoded.

    Yields dicts of scalars: image (string), label (int64), filename (string), sha256 (string). Of a dataset of several
    labels an image, label is multi-hot: int64 [number of classes], 1 for each class that the image has and else 0.
    """
    label = tf.io.RaggedFeature(tf.int64) if dataset.multi_label else tf.io.FixedLenFeature([], tf.int64)
    schema = {IMAGE: _TEXT, LABEL: label, FILENAME: _TEXT, SHA256: _TEXT}

    def parse(data: tf.Tensor) -> dict[str, tf.Tensor]:
        example: dict[str, tf.Tensor] = tf.io.parse_single_example(data, schema)
        if dataset.multi_label:
            hot = tf.one_hot(example[LABEL], len(dataset.classes), dtype=tf.int64)  # [labels, classes]
            example[LABEL] = tf.reduce_sum(hot, axis=0)
        return example

    files = [str(path) for path in dataset.paths(split)]
    records = tf.data.TFRecordDataset(files, buffer_size=8 << 20)
    return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def decoded_images(dataset: Dataset, split: str, size_px: int) -> tf.data.Dataset:
    """Returns the images and labels of a split, in order.

    Yields pairs of an image, uint8 [size_px, size_px, 3], and a label as `encoded_examples` has it.
    """
    return encoded_examples(dataset, split).map(
        lambda example: (decode_and_resize(example[IMAGE], size_px), example[LABEL]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
