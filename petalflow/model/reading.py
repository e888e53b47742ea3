"""A dataset as tf.data: parsed records and decoded images."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from petalflow.dataset.metadata import Dataset
from petalflow.dataset.record import FILENAME, IMAGE, LABEL, SHA256
from petalflow.model.decode import decode_image

_SHARDS_AT_ONCE = 8


def encoded_examples(dataset: Dataset, split: str) -> tf.data.Dataset:
    """Returns the records of a split, in order, with images still encoded.

    Yields dicts of scalars: image (string), label (int64), filename (string), sha256 (string). If images may have
    several labels, label is multi-hot: int64 [number of classes], 1 for each class of the image, else 0.
    """
    parse = _parser(dataset, IMAGE, LABEL, FILENAME, SHA256)
    return records(dataset, split).map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def decoded_images(dataset: Dataset, split: str, size_px: int) -> tf.data.Dataset:
    """Returns the images and labels of a split, in order.

    Yields pairs of an image, uint8 [size_px, size_px, 3], and a label like that of `encoded_examples`.
    """
    return records(dataset, split).map(decoder(dataset, size_px), num_parallel_calls=tf.data.AUTOTUNE)


def records(dataset: Dataset, split: str) -> tf.data.Dataset:
    """Returns the serialized records of a split, in order: strings that `decoder` reads."""
    return tf.data.TFRecordDataset([str(path) for path in dataset.paths(split)])


def mixed_records(dataset: Dataset, split: str, seed: int) -> tf.data.Dataset:
    """Returns the records of a split, from several files at a time, which are shuffled by the seed.

    Yields pairs of a record's index in the split, int64 from 0, and the record, a string that `decoder` reads.
    """
    starts = np.cumsum([0, *dataset.lengths(split)])[:-1]
    order = np.random.default_rng(seed).permutation(len(starts))
    files = [str(dataset.paths(split)[index]) for index in order]
    return tf.data.Dataset.from_tensor_slices((files, starts[order])).interleave(
        lambda file, start: tf.data.TFRecordDataset(file).enumerate(start),
        cycle_length=_SHARDS_AT_ONCE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def decoder(dataset: Dataset, size_px: int) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a function from a record to the image and label that `decoded_images` yields."""
    parse = _parser(dataset, IMAGE, LABEL)

    def decode(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = parse(record)
        return decode_image(example[IMAGE], size_px, prepared=True), example[LABEL]

    # AutoGraph would search all of it for Python to convert, which takes a second.
    unconverted: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]] = tf.autograph.experimental.do_not_convert(decode)
    return unconverted


def _parser(dataset: Dataset, *names: str) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    label = tf.io.RaggedFeature(tf.int64) if dataset.multi_label else tf.io.FixedLenFeature([], tf.int64)
    schema = {name: label if name == LABEL else tf.io.FixedLenFeature([], tf.string) for name in names}

    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        example: dict[str, tf.Tensor] = tf.io.parse_single_example(record, schema)
        if dataset.multi_label:
            hot = tf.one_hot(example[LABEL], len(dataset.classes), dtype=tf.int64)  # [labels, classes]
            example[LABEL] = tf.reduce_sum(hot, axis=0)
        return example

    return parse
