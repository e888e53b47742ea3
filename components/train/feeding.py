"""What a network is fed with: batches in an order that a training can take up anywhere."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.train.order import class_weights, epoch_order
from petalflow.dataset import Dataset
from petalflow.dataset.reading import decoded_images, mixed_examples
from petalflow.model.decode import decode_and_resize

# Given an image, uint8 [size, size, 3], and a seed, int64 [2]: the image varied, uint8 likewise.
Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# Encoded images that a streamed epoch is shuffled among; shards are shuffled besides.
_SHUFFLED_MIB = 512


@dataclass(frozen=True)
class Batching:
    """How images become batches.

    Attributes:
        size: Images a batch, of all devices together.
        seed: Of order and variation.
        balance: "none", "class_weights" or "sampling".
        whole: Whether every batch must have this size, as TPUs and several devices ask; the last is filled up then
            with images of weight 0.
    """

    size: int
    seed: int
    balance: str = "none"
    whole: bool = False


class Feed(Protocol):
    """The images of a split, for one phase of training.

    Batches are triples: inputs [b, ...], labels int64 [b] or [b, classes], weights float32 [b], 0 for what fills up.
    """

    images: int

    def steps(self, epoch: int) -> int:
        """Returns how many batches an epoch of training has."""

    def training(self, epoch: int, skip: int = 0) -> tf.data.Dataset:
        """Returns the batches of an epoch, shuffled and varied by seed and epoch; without the first `skip`."""

    def scoring(self) -> tf.data.Dataset:
        """Returns the batches of all images, each once, in record order, as they are."""

    def scoring_steps(self) -> int:
        """Returns how many batches those are."""


class KeptFeed:
    """A split whose inputs, images or features, are in memory or in a file that is mapped to it."""

    def __init__(
        self,
        inputs: NDArray[np.generic],
        labels: NDArray[np.int64],
        classes: int,
        batching: Batching,
        augment: Augmentation | None = None,
        variants: int = 1,
    ) -> None:
        """Takes what is fed.

        Args:
            inputs: [variants * n, ...]: of one variation of all images, then of the next.
            labels: [n] or [n, classes].
            classes: How many there are.
            batching: How they become batches.
            augment: Varies images; None for features, which are what they are.
            variants: How many variations of each image there are; each epoch shows one of each, by turns.
        """
        self.images = len(labels)
        self._inputs, self._labels, self._batching = inputs, labels, batching
        self._augment, self._variants = augment, variants
        self._weights = _weights(labels, classes, batching)
        self._shares = class_weights(labels, classes) if batching.balance == "sampling" else None

    def steps(self, epoch: int) -> int:
        """See `Feed`."""
        return _batches(len(self._order(epoch)), self._batching.size)

    def scoring_steps(self) -> int:
        """See `Feed`."""
        return _batches(self.images, self._batching.size)

    def training(self, epoch: int, skip: int = 0) -> tf.data.Dataset:
        """See `Feed`."""
        order = self._order(epoch)[skip * self._batching.size :]
        rows = order + self.images * (epoch % self._variants)
        seeds = np.stack([np.full(len(order), self._batching.seed + epoch), np.arange(len(order))], axis=1)
        seeds[:, 1] += skip * self._batching.size
        return self._gathered(rows, order, self._weights[order], seeds)

    def scoring(self) -> tf.data.Dataset:
        """See `Feed`."""
        every = np.arange(self.images)
        return self._gathered(every, every, np.ones(self.images, np.float32), None)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return epoch_order(self.images, self._batching.seed, epoch, self._shares)

    def _gathered(
        self,
        rows: NDArray[np.int64],
        images: NDArray[np.int64],
        weights: NDArray[np.float32],
        seeds: NDArray[np.int64] | None,
    ) -> tf.data.Dataset:
        labels = self._labels[images]
        missing = -len(rows) % self._batching.size if self._batching.whole else 0
        if missing:
            again = np.resize(rows, missing)  # images that were there, so that their statistics are not odd
            rows = np.concatenate([rows, again])
            labels = np.concatenate([labels, np.resize(labels, (missing, *labels.shape[1:]))])
            weights = np.concatenate([weights, np.zeros(missing, np.float32)])
            if seeds is not None:
                seeds = np.concatenate([seeds, np.resize(seeds, (missing, 2))])
        parts = (rows, labels, weights) if seeds is None else (rows, labels, weights, seeds)
        batches = tf.data.Dataset.from_tensor_slices(parts).batch(
            self._batching.size, drop_remainder=self._batching.whole
        )

        def gather(rows: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, *seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # Not tf.gather, which would take a mapped file into memory.
            inputs = tf.numpy_function(lambda at: self._inputs[at], [rows], self._inputs.dtype)
            inputs.set_shape([rows.shape[0], *self._inputs.shape[1:]])
            if self._augment and seeds:
                inputs = _varied(self._augment, inputs, seeds[0])
            return inputs, labels, weights

        return batches.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


class StreamedFeed:
    """A split whose images are too many for memory: read from its shards and decoded each time."""

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        size_px: int,
        labels: NDArray[np.int64],
        batching: Batching,
        augment: Augmentation | None = None,
    ) -> None:
        """Takes what is fed.

        Args:
            dataset: The dataset.
            split: Of it.
            size_px: Height and width of the inputs.
            labels: Of the split, [n] or [n, classes].
            batching: How images become batches.
            augment: Varies them.
        """
        self.images = len(labels)
        self._dataset, self._split, self._size_px = dataset, split, size_px
        self._batching, self._augment = batching, augment
        self._weights = _weights(labels, len(dataset.classes), batching)
        self._shares = class_weights(labels, len(dataset.classes)) if batching.balance == "sampling" else None
        bytes_each = max(sum(path.stat().st_size for path in dataset.paths(split)) // max(self.images, 1), 1)
        self._buffer = max(min(self.images, (_SHUFFLED_MIB << 20) // bytes_each), 1)

    def steps(self, epoch: int) -> int:
        """See `Feed`."""
        return _batches(int(self._times(epoch).sum()), self._batching.size)

    def scoring_steps(self) -> int:
        """See `Feed`."""
        return _batches(self.images, self._batching.size)

    def training(self, epoch: int, skip: int = 0) -> tf.data.Dataset:
        """See `Feed`."""
        seed = self._batching.seed + epoch
        times = tf.constant(self._times(epoch))
        # Shuffled while they are small: encoded. Each knows its place in the split, which its weight goes by.
        examples = mixed_examples(self._dataset, self._split, seed)
        examples = examples.map(lambda place, example: (place, example["image"], example["label"]))
        if self._shares is not None:
            examples = examples.flat_map(
                lambda place, image, label: tf.data.Dataset.from_tensors((place, image, label)).repeat(times[place])
            )
        examples = examples.shuffle(self._buffer, seed=seed).enumerate().skip(skip * self._batching.size)
        weights = tf.constant(self._weights)

        def decode(number: tf.Tensor, example: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            place, data, label = example
            image = decode_and_resize(data, self._size_px)
            if self._augment:
                image = self._augment(image, tf.stack([tf.constant(seed, tf.int64), number]))
            return image, label, weights[place]

        return self._batched(examples.map(decode, num_parallel_calls=tf.data.AUTOTUNE))

    def scoring(self) -> tf.data.Dataset:
        """See `Feed`."""
        images = decoded_images(self._dataset, self._split, self._size_px)
        return self._batched(images.map(lambda image, label: (image, label, 1.0)))

    def _times(self, epoch: int) -> NDArray[np.int64]:
        if self._shares is None:
            return np.ones(self.images, np.int64)
        order = epoch_order(self.images, self._batching.seed, epoch, self._shares)
        return np.bincount(order, minlength=self.images)

    def _batched(self, examples: tf.data.Dataset) -> tf.data.Dataset:
        size = self._batching.size
        if self._batching.whole:
            filler = examples.take(1).map(lambda image, label, weight: (image, label, 0.0)).repeat(size - 1)
            batches = examples.concatenate(filler).batch(size, drop_remainder=True)
        else:
            batches = examples.batch(size)
        return batches.prefetch(tf.data.AUTOTUNE)


def read_images(dataset: Dataset, split: str, size_px: int) -> NDArray[np.uint8]:
    """Returns the images of a split, decoded, uint8 [n, size_px, size_px, 3], in record order."""
    images = np.empty((dataset.size(split), size_px, size_px, 3), np.uint8)
    at = 0
    for batch, _ in decoded_images(dataset, split, size_px).batch(64).prefetch(tf.data.AUTOTUNE):
        images[at : at + len(batch)] = batch
        at += len(batch)
    return images


def read_labels(dataset: Dataset, split: str) -> NDArray[np.int64]:
    """Returns the labels of a split in record order: [n], or 0 and 1 a class, [n, classes], if it is multi-label."""
    if not dataset.multi_label:
        return np.array([labels[0] for labels in dataset.labels(split)], np.int64)
    hot = np.zeros((dataset.size(split), len(dataset.classes)), np.int64)
    for row, labels in zip(hot, dataset.labels(split), strict=True):
        row[list(labels)] = 1
    return hot


def image_feed(
    dataset: Dataset, split: str, size_px: int, batching: Batching, cache_mib: int, augment: Augmentation | None = None
) -> Feed:
    """Returns the feed of a split's images: kept in memory if they fit the budget, else streamed."""
    labels = read_labels(dataset, split)
    if dataset.size(split) * 3 * size_px**2 <= cache_mib << 20:
        return KeptFeed(read_images(dataset, split, size_px), labels, len(dataset.classes), batching, augment)
    return StreamedFeed(dataset, split, size_px, labels, batching, augment)


def _varied(augment: Augmentation, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(
        lambda pair: augment(pair[0], pair[1]),
        (images, seeds),
        fn_output_signature=tf.TensorSpec(images.shape[1:], images.dtype),
    )


def _weights(labels: NDArray[np.int64], classes: int, batching: Batching) -> NDArray[np.float32]:
    if batching.balance != "class_weights":
        return np.ones(len(labels), np.float32)
    return class_weights(labels, classes).astype(np.float32)


def _batches(images: int, size: int) -> int:
    return math.ceil(images / size)
