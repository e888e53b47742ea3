"""A dataset as tf.data: parsing here, decoding by the one function that serving uses too."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from petalflow.dataset.metadata import Dataset
from petalflow.dataset.record import FILENAME, IMAGE, LABEL, SHA256
from petalflow.model.decode import decode_upright

_TEXT = tf.io.FixedLenFeature([], tf.string)
_SHARDS_AT_ONCE = 8


def encoded_examples(dataset: Dataset, split: str) -> tf.data.Dataset:
    """Returns the records of a split, in order, with images still encoded.

    Yields dicts of scalars: image (string), label (int64), filename (string), sha256 (string). Of a dataset of several
    labels an image, label is multi-hot: int64 [number of classes], 1 for each class that the image has and else 0.
    """
    return _records(dataset, split).map(_parser(dataset), num_parallel_calls=tf.data.AUTOTUNE)


def mixed_examples(dataset: Dataset, split: str, seed: int) -> tf.data.Dataset:
    """Returns the records of a split, its files in an order that the seed decides, several read at a time.

    Yields pairs of a record's place in the split, int64 from 0, and what `encoded_examples` yields.
    """
    starts = np.cumsum([0, *dataset.lengths(split)])[:-1]
    order = np.random.default_rng(seed).permutation(len(starts))
    files = [str(dataset.paths(split)[index]) for index in order]
    records = tf.data.Dataset.from_tensor_slices((files, starts[order])).interleave(
        lambda file, start: tf.data.TFRecordDataset(file).enumerate(start),
        cycle_length=_SHARDS_AT_ONCE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    parse = _parser(dataset)
    return records.map(lambda place, data: (place, parse(data)), num_parallel_calls=tf.data.AUTOTUNE)


def decoded_images(dataset: Dataset, split: str, size_px: int) -> tf.data.Dataset:
    """Returns the images and labels of a split, in order.

    Yields pairs of an image, uint8 [size_px, size_px, 3], and a label as `encoded_examples` has it.
    """
    parse = _parser(dataset)

    def decode(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = parse(data)
        return decode_upright(example[IMAGE], size_px), example[LABEL]

    return _records(dataset, split).map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def _records(dataset: Dataset, split: str) -> tf.data.Dataset:
    return tf.data.TFRecordDataset([str(path) for path in dataset.paths(split)])


def _parser(dataset: Dataset) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    label = tf.io.RaggedFeature(tf.int64) if dataset.multi_label else tf.io.FixedLenFeature([], tf.int64)
    schema = {IMAGE: _TEXT, LABEL: label, FILENAME: _TEXT, SHA256: _TEXT}

    def parse(data: tf.Tensor) -> dict[str, tf.Tensor]:
        example: dict[str, tf.Tensor] = tf.io.parse_single_example(data, schema)
        if dataset.multi_label:
            hot = tf.one_hot(example[LABEL], len(dataset.classes), dtype=tf.int64)  # [labels, classes]
            example[LABEL] = tf.reduce_sum(hot, axis=0)
        return example

    return parse
