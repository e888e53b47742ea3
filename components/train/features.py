"""Features of a frozen network: computed once per image or variation, and saved so that a kill costs little."""

import hashlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.train.data import Augmentation
from components.train.inference import ForwardPass
from components.train.interruption import Interruption
from petalflow import storage
from petalflow.dataset import Dataset
from petalflow.errors import PetalflowError
from petalflow.model.reading import decoder, records
from petalflow.progress import Counter

log = logging.getLogger(__name__)

_NAME = re.compile(r"(?P<first>[0-9]{12})-(?P<end>[0-9]{12})-(?P<sha256>[0-9a-f]{64})\.f32")
# Saving features does not pay if it takes longer than this share of the time to compute them.
_MAX_SAVING_SHARE = 0.25


class FeatureChunks:
    """The rows of a long computation in a folder, in order from the first, so that they survive a kill.

        <uri>/000000000000-000000004096-<sha256>.f32    rows 0 to 4095: float32, little-endian, nothing else

    The name of a file shows whether its contents are complete.

    If rows cannot be written, or not fast enough, that is logged and not tried again; the computation continues.
    """

    def __init__(self, uri: str, shape: tuple[int, ...], every_s: float = 60) -> None:
        """Sets the folder.

        Args:
            uri: The folder's address.
            shape: Shape of a row.
            every_s: Seconds of computation per chunk, about.
        """
        self._uri, self._shape, self._every_s = uri, shape, every_s
        self._waiting: list[NDArray[np.float32]] = []
        self._next = 0
        self._since = time.monotonic()
        self._pays = True

    def read(self) -> Iterator[NDArray[np.float32]]:
        """Yields the chunks, [rows, ...], up to the first missing or damaged one; added rows follow them."""
        for name in sorted(file.name for file in storage.list_files(self._uri, deep=False)):
            match = _NAME.fullmatch(name)
            if not match or int(match["first"]) != self._next:
                continue
            data = storage.read_bytes(storage.join(self._uri, name))
            if hashlib.sha256(data).hexdigest() != match["sha256"]:
                log.warning("%s is damaged; computing its features again", storage.join(self._uri, name))
                continue
            rows = np.frombuffer(data, "<f4").reshape(-1, *self._shape)
            self._next += len(rows)
            yield rows
        self._since = time.monotonic()

    def add(self, rows: NDArray[np.float32]) -> None:
        """Adds the next rows; writes all waiting rows if it is time to."""
        if self._pays:
            self._waiting.append(rows)
            if time.monotonic() - self._since >= self._every_s:
                self.write()

    def write(self) -> None:
        """Writes all waiting rows."""
        if not self._waiting:
            return
        began = time.monotonic()
        rows = np.concatenate(self._waiting)
        data = rows.astype("<f4", copy=False).tobytes()
        name = f"{self._next:012d}-{self._next + len(rows):012d}-{hashlib.sha256(data).hexdigest()}.f32"
        try:
            storage.write_bytes(storage.join(self._uri, name), data)
        except (OSError, PetalflowError) as error:
            log.warning("features cannot be saved at %s: %s; they are computed without being saved", self._uri, error)
            self._pays = False
        self._waiting.clear()
        self._next += len(rows)
        computed_s, self._since = began - self._since, time.monotonic()
        if self._pays and self._every_s and self._since - began > _MAX_SAVING_SHARE * computed_s:
            log.info("features are no longer saved: saving takes too long compared with computing them")
            self._pays = False


Features = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureImages:
    """The images to compute features of: the train split, augmented or not, then the validation split, never augmented.

    An image is decoded once for all of its variations, so the computation goes image by image: variations 0, 1, ... of
    the first image, then of the second. The rows are stored as `KeptFeed` takes them: variation 0 of all images, then
    variation 1 of all.

    Attributes:
        dataset: The dataset.
        size_px: Height and width that images are resized to.
        variants: Variations of each training image; 1 without `augment`.
        augment: Makes the variations; None for the image itself.
        seed: Variation v of image i has the seed (`seed` + v, i).
    """

    dataset: Dataset
    size_px: int
    variants: int = 1
    augment: Augmentation | None = None
    seed: int = 0

    @property
    def training_rows(self) -> int:
        """Number of rows of the train split; those of the validation split follow."""
        return self.dataset.size("train") * self.variants

    @property
    def rows(self) -> int:
        """Number of all rows."""
        return self.training_rows + self.dataset.size("validation")

    def batches(self, first: int, size: int) -> tf.data.Dataset:
        """Yields batches of images from index `first` on, uint8 [size or fewer, size_px, size_px, 3]."""
        image, variant = divmod(first, self.variants)
        if first >= self.training_rows:
            image, variant = first - self.training_rows + self.dataset.size("train"), 0
        both = records(self.dataset, "train").concatenate(records(self.dataset, "validation")).enumerate()
        decode = decoder(self.dataset, self.size_px)
        decoded = both.skip(image).map(
            lambda index, record: (index, decode(record)[0]), num_parallel_calls=tf.data.AUTOTUNE
        )
        images = (
            decoded.map(lambda _, image: image)
            if self.augment is None
            else self._varied(decoded, variant, self.augment)
        )
        return images.batch(size).prefetch(2)

    def row_indices(self, first: int, end: int) -> NDArray[np.int64]:
        """Returns the indices of the rows that store these images' features."""
        index = np.arange(first, end)
        image, variant = np.divmod(index, self.variants)
        return np.where(index < self.training_rows, variant * self.dataset.size("train") + image, index)

    def _varied(self, decoded: tf.data.Dataset, first: int, augment: Augmentation) -> tf.data.Dataset:
        """Returns the variations of images, starting with variation `first`; validation images stay as they are."""
        trained = self.dataset.size("train")

        def each(index: tf.Tensor, image: tf.Tensor) -> tf.data.Dataset:
            variants = tf.data.Dataset.range(tf.where(index < trained, tf.constant(self.variants, tf.int64), 1))
            return variants.map(lambda variant: (variant, index, image))

        def vary(variant: tf.Tensor, index: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
            seed = tf.stack([self.seed + variant, index])
            return tf.cond(index < trained, lambda: augment(image, seed), lambda: image)

        return decoded.flat_map(each).skip(first).map(vary, num_parallel_calls=tf.data.AUTOTUNE)


def compute_features(
    images: FeatureImages,
    forward: ForwardPass,
    features: Features,
    chunks: FeatureChunks | None,
    interruption: Interruption,
) -> None:
    """Computes the features of images.

    Args:
        images: The images.
        forward: The frozen network.
        features: float32 [rows, ...], filled in.
        chunks: Has the features that an earlier process saved, and saves those computed now; None to save nothing.
        interruption: Checked after every batch: an exception raised while TensorFlow computes may crash the process.
    """
    counter = Counter("train", images.rows, "images")
    done = 0
    for rows in chunks.read() if chunks else ():
        features[images.row_indices(done, done + len(rows))] = rows
        done += len(rows)
    if done:
        log.info("%d of %d features were saved by an earlier process", done, images.rows)
        counter.add(done)
    interruption.unsaved = True
    # Chunks end where batches end, so that an image always has the same neighbours and bit-equal features.
    for batch in images.batches(done, forward.batch):
        rows = forward(batch)
        features[images.row_indices(done, done + len(rows))] = rows
        done += len(rows)
        counter.add(len(rows))
        if chunks:
            chunks.add(rows)
        if interruption.signal:
            if chunks:
                chunks.write()
            interruption.check()
    interruption.unsaved = False


def allocate_features(shape: tuple[int, ...], memory_mib: int, disk_mib: int) -> Features | None:
    """Returns an array for features, in memory or else in a file that disappears with the array or the process.

    Args:
        shape: Shape of all features.
        memory_mib: The most memory to use, in MiB.
        disk_mib: The most space to use in the folder for temporary files, in MiB.

    Returns:
        Uninitialized float32 array; None if it exceeds both budgets or the disk is too full.
    """
    size = 4 * int(np.prod(shape))
    needed = f"{np.ceil(size / (1 << 20)):,.0f} MiB"
    if size <= memory_mib << 20:
        log.info("features are kept in memory: %s", needed)
        return np.empty(shape, np.float32)
    if size > disk_mib << 20:
        budgets = f"train.cache_mib={memory_mib} and train.cache_disk_mib={disk_mib}"
        log.info("features are not kept: they need %s, more than %s", needed, budgets)
        return None
    with tempfile.TemporaryFile(suffix=".features") as file:  # has no name, so that nothing is left, even after a kill
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # writing to a mapped file on a full disk kills the process
        except OSError as error:
            log.warning("features are not kept: %s in %s: %s", needed, tempfile.gettempdir(), error.strerror)
            return None
        log.info("features are kept on disk: %s in %s", needed, tempfile.gettempdir())
        return np.memmap(file, np.float32, "r+", shape=shape)


def features_digest(images: FeatureImages, frozen: keras.Model, how: str) -> str:
    """Returns a hash of everything that features depend on, 16 hexadecimal digits.

    Args:
        images: The images.
        frozen: The frozen network.
        how: Anything else that they depend on.
    """
    hashed = hashlib.sha256()
    for array in frozen.get_weights():
        hashed.update(f"{array.shape}".encode() + array.tobytes())
    facts = (images.dataset.digest(), images.size_px, images.variants, images.seed, frozen.output_shape, how)
    hashed.update(repr(facts).encode())
    return hashed.hexdigest()[:16]
