"""The input pipeline: shuffled, balanced batches that a training can resume at any step.

Which images an epoch shows, and in which order, depends on the seed and the epoch alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from petalflow.dataset import Dataset
from petalflow.model.reading import decoded_images, decoder, mixed_records

Indices = NDArray[np.int64]


def shuffled_indices(images: int, seed: int, epoch: int, shares: NDArray[np.float64] | None = None) -> Indices:
    """Returns the indices of the images of an epoch, shuffled.

    Args:
        images: Number of images.
        seed: Seed of the training.
        epoch: Index of the epoch, from 0.
        shares: How often to show each image on average, [images]; None to show each once.

    Returns:
        int64 [about the sum of shares].
    """
    generator = np.random.default_rng([seed, epoch])
    if shares is None:
        return generator.permutation(images)
    # A share of 1.3 shows an image once, and in three of ten epochs twice.
    times = np.floor(shares + generator.random(images)).astype(np.int64)
    return generator.permutation(np.repeat(np.arange(images), times))


def epoch_seed(seed: int, epoch: int) -> int:
    """Returns a seed for an epoch, 0 to 2**31 - 1; a plain sum would equal the previous epoch's of the next seed."""
    return int(np.random.default_rng([seed, epoch]).integers(2**31))


def class_weights(labels: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """Returns a weight per image, [n], of mean 1, with which all classes count the same.

    Args:
        labels: Class indices, [n], or multi-hot, [n, classes]. An image of several classes has the mean of their
            weights, an image of none the weight 1.
        classes: Number of classes; classes without images are ignored.
    """
    hot = np.eye(classes)[labels] if labels.ndim == 1 else labels.astype(np.float64)
    counts = hot.sum(axis=0)
    per_class = np.divide(1, counts, out=np.zeros(classes), where=counts > 0)
    per_class /= per_class[counts > 0].mean()
    labels_per_image = hot.sum(axis=1)
    weights = np.divide(hot @ per_class, labels_per_image, out=np.ones(len(hot)), where=labels_per_image > 0)
    return np.asarray(weights / weights.mean(), np.float64)


# From an image, uint8 [size, size, 3], and a seed, int64 [2], to the augmented image, uint8 [size, size, 3].
Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# Size of the shuffle buffer of a streamed epoch, which holds encoded images; shards are shuffled, too.
_SHUFFLED_MIB = 512


@dataclass(frozen=True)
class Batching:
    """How images are batched.

    Attributes:
        size: Images per batch, for all devices together.
        seed: Seed of shuffling and augmentation.
        balance: "none", "class_weights" or "sampling".
        whole: True if every batch must have this size, as TPUs and several devices require; the last batch is then
            padded with images of weight 0.
    """

    size: int
    seed: int
    balance: str = "none"
    whole: bool = False


class Feed(Protocol):
    """The images of a split, for one phase of training.

    Batches are triples: inputs [b, ...], labels int64 [b] or [b, classes], weights float32 [b], 0 for padding.
    """

    images: int

    def steps(self, epoch: int) -> int:
        """Returns the number of batches in an epoch of training."""

    def training(self, epoch: int, skip: int = 0) -> tf.data.Dataset:
        """Returns the batches of an epoch, shuffled and augmented by seed and epoch, without the first `skip`."""

    def scoring(self) -> tf.data.Dataset:
        """Returns the batches of all images, each once, in record order, without augmentation."""

    def scoring_steps(self) -> int:
        """Returns the number of batches for scoring."""


class KeptFeed:
    """A split whose inputs, images or features, are in memory or in a memory-mapped file."""

    def __init__(
        self,
        inputs: NDArray[np.generic],
        labels: NDArray[np.int64],
        classes: int,
        batching: Batching,
        augment: Augmentation | None = None,
        variants: int = 1,
    ) -> None:
        """Keeps the inputs.

        Args:
            inputs: [variants * n, ...]: one variation of all images, then the next.
            labels: [n] or [n, classes].
            classes: Number of classes.
            batching: How images are batched.
            augment: Augments images; None for features.
            variants: Number of variations of each image; each epoch shows the next one.
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
        start = skip * self._batching.size
        order = self._order(epoch)[start:]
        rows = order + self.images * (epoch % self._variants)
        seed = epoch_seed(self._batching.seed, epoch)
        seeds = np.stack([np.full(len(order), seed), np.arange(start, start + len(order))], axis=1)
        return self._gather_batches(rows, order, self._weights[order], seeds)

    def scoring(self) -> tf.data.Dataset:
        """See `Feed`."""
        indices = np.arange(self.images)
        return self._gather_batches(indices, indices, np.ones(self.images, np.float32))

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return shuffled_indices(self.images, self._batching.seed, epoch, self._shares)

    def _gather_batches(
        self,
        rows: NDArray[np.int64],
        images: NDArray[np.int64],
        weights: NDArray[np.float32],
        seeds: NDArray[np.int64] | None = None,
    ) -> tf.data.Dataset:
        def gather(rows: tf.Tensor, *others: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # Not tf.gather, which would load a memory-mapped file.
            inputs = tf.numpy_function(lambda at: self._inputs[at], [rows], self._inputs.dtype)
            inputs.set_shape([rows.shape[0], *self._inputs.shape[1:]])
            return inputs, *others

        columns = [rows, self._labels[images], weights]
        if self._augment and seeds is not None:
            columns.append(seeds)
        size = self._batching.size
        batches = tf.data.Dataset.from_tensor_slices(tuple(columns)).batch(size)
        batches = batches.map(gather, num_parallel_calls=tf.data.AUTOTUNE)
        if self._augment and seeds is not None:
            examples = batches.unbatch().map(_augmented(self._augment), num_parallel_calls=tf.data.AUTOTUNE)
            batches = examples.batch(size)
        return _finish(batches, self._batching)


class StreamedFeed:
    """A split whose images do not fit into memory: read from its shards and decoded in every epoch."""

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        size_px: int,
        labels: NDArray[np.int64],
        batching: Batching,
        augment: Augmentation | None = None,
    ) -> None:
        """Prepares reading the split.

        Args:
            dataset: The dataset.
            split: The name of the split.
            size_px: Height and width of the inputs.
            labels: The split's labels, [n] or [n, classes].
            batching: How images are batched.
            augment: Augments images; None for no augmentation.
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
        seed = epoch_seed(self._batching.seed, epoch)
        times, weights = tf.constant(self._times(epoch)), tf.constant(self._weights)
        # Shuffle encoded images, which are small. Each carries its index in the split, which selects its weight.
        records = mixed_records(self._dataset, self._split, seed)
        if self._shares is not None:
            records = records.flat_map(lambda *pair: tf.data.Dataset.from_tensors(pair).repeat(times[pair[0]]))
        records = records.shuffle(self._buffer, seed, reshuffle_each_iteration=False)
        records = records.enumerate().skip(skip * self._batching.size)
        decode = decoder(self._dataset, self._size_px)

        def read(number: tf.Tensor, indexed: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
            index, record = indexed
            image, label = decode(record)
            example = image, label, weights[index], tf.stack([tf.constant(seed, tf.int64), number])
            return _augmented(self._augment)(*example) if self._augment else example[:3]

        examples = records.map(read, num_parallel_calls=tf.data.AUTOTUNE)
        return _finish(examples.batch(self._batching.size), self._batching)

    def scoring(self) -> tf.data.Dataset:
        """See `Feed`."""
        images = decoded_images(self._dataset, self._split, self._size_px)
        batches = images.map(lambda image, label: (image, label, 1.0)).batch(self._batching.size)
        return _finish(batches, self._batching)

    def _times(self, epoch: int) -> NDArray[np.int64]:
        if self._shares is None:
            return np.ones(self.images, np.int64)
        order = shuffled_indices(self.images, self._batching.seed, epoch, self._shares)
        return np.bincount(order, minlength=self.images)


def read_images(dataset: Dataset, split: str, size_px: int) -> NDArray[np.uint8]:
    """Returns the decoded images of a split, uint8 [n, size_px, size_px, 3], in record order."""
    images = np.empty((dataset.size(split), size_px, size_px, 3), np.uint8)
    done = 0
    for batch, _ in decoded_images(dataset, split, size_px).batch(64).prefetch(tf.data.AUTOTUNE):
        images[done : done + len(batch)] = batch
        done += len(batch)
    return images


def read_labels(dataset: Dataset, split: str) -> NDArray[np.int64]:
    """Returns the labels of a split in record order: [n], or multi-hot [n, classes] if images have several labels."""
    if not dataset.multi_label:
        return np.array([labels[0] for labels in dataset.labels(split)], np.int64)
    hot = np.zeros((dataset.size(split), len(dataset.classes)), np.int64)
    for row, labels in zip(hot, dataset.labels(split), strict=True):
        row[list(labels)] = 1
    return hot


def make_image_feed(
    dataset: Dataset, split: str, size_px: int, batching: Batching, cache_mib: int, augment: Augmentation | None = None
) -> Feed:
    """Returns the feed of a split's images: from memory if they fit into the budget, else streamed."""
    labels = read_labels(dataset, split)
    if dataset.size(split) * 3 * size_px**2 <= cache_mib << 20:
        return KeptFeed(read_images(dataset, split, size_px), labels, len(dataset.classes), batching, augment)
    return StreamedFeed(dataset, split, size_px, labels, batching, augment)


def _augmented(augment: Augmentation) -> Callable[..., tuple[tf.Tensor, ...]]:
    return lambda image, label, weight, seed: (augment(image, seed), label, weight)


def _finish(batches: tf.data.Dataset, batching: Batching) -> tf.data.Dataset:
    """Pads the last batch if every batch must have the same size, and prefetches."""

    def pad(inputs: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # Repeat the batch's own images, which nearly keeps the batch statistics.
        indices = tf.range(batching.size)
        repeated = indices % tf.shape(weights)[0]
        weights = tf.where(indices == repeated, tf.gather(weights, repeated), 0.0)
        return tf.gather(inputs, repeated), tf.gather(labels, repeated), weights

    if batching.whole:
        batches = batches.map(pad, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def _weights(labels: NDArray[np.int64], classes: int, batching: Batching) -> NDArray[np.float32]:
    if batching.balance != "class_weights":
        return np.ones(len(labels), np.float32)
    return class_weights(labels, classes).astype(np.float32)


def _batches(images: int, size: int) -> int:
    return math.ceil(images / size)
