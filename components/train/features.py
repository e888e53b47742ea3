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
from components.train.inference import Forward
from components.train.interruption import Interruption
from petalflow import storage
from petalflow.dataset import Dataset
from petalflow.errors import PetalflowError
from petalflow.model.reading import decoder, records
from petalflow.progress import Counter

log = logging.getLogger(__name__)

_NAME = re.compile(r"(?P<first>[0-9]{12})-(?P<end>[0-9]{12})-(?P<sha256>[0-9a-f]{64})\.f32")
# Keeping what took longer to keep than this share of the time to compute it does not pay.
_WORTH = 0.25


class Chunks:
    """The rows of a long computation in a folder, in order from the first, so that they survive a kill.

        <uri>/000000000000-000000004096-<sha256>.f32    rows 0 to 4095: float32, little-endian, nothing else

    A file's name holds all that is needed to know whether the file is whole.

    What cannot be written, or not fast enough, is said once, and not tried again: the computation goes on without.
    """

    def __init__(self, uri: str, shape: tuple[int, ...], every_s: float = 60) -> None:
        """Names the folder.

        Args:
            uri: Its address.
            shape: Of a row.
            every_s: About so many seconds of computing become a chunk.
        """
        self._uri, self._shape, self._every_s = uri, shape, every_s
        self._waiting: list[NDArray[np.float32]] = []
        self._next = 0
        self._since = time.monotonic()
        self._pays = True

    def read(self) -> Iterator[NDArray[np.float32]]:
        """Yields the chunks that are whole, [rows, ...], up to the first that is not; what is added follows them."""
        for name in sorted(file.name for file in storage.list_files(self._uri, deep=False)):
            match = _NAME.fullmatch(name)
            if not match or int(match["first"]) != self._next:
                continue
            data = storage.read_bytes(storage.join(self._uri, name))
            if hashlib.sha256(data).hexdigest() != match["sha256"]:
                log.warning("%s is damaged; it is computed anew", storage.join(self._uri, name))
                continue
            rows = np.frombuffer(data, "<f4").reshape(-1, *self._shape)
            self._next += len(rows)
            yield rows
        self._since = time.monotonic()

    def add(self, rows: NDArray[np.float32]) -> None:
        """Takes the rows that come next; writes what waits if it is time to."""
        if self._pays:
            self._waiting.append(rows)
            if time.monotonic() - self._since >= self._every_s:
                self.write()

    def write(self) -> None:
        """Writes the rows that wait."""
        if not self._waiting:
            return
        began = time.monotonic()
        rows = np.concatenate(self._waiting)
        data = rows.astype("<f4", copy=False).tobytes()
        name = f"{self._next:012d}-{self._next + len(rows):012d}-{hashlib.sha256(data).hexdigest()}.f32"
        try:
            storage.write_bytes(storage.join(self._uri, name), data)
        except (OSError, PetalflowError) as error:
            log.warning("features so far cannot be kept at %s: %s; they are computed without", self._uri, error)
            self._pays = False
        self._waiting.clear()
        self._next += len(rows)
        computed_s, self._since = began - self._since, time.monotonic()
        if self._pays and self._every_s and self._since - began > _WORTH * computed_s:
            log.info("features so far are not kept any more: it takes too long beside computing them")
            self._pays = False


Features = NDArray[np.float32]


@dataclass(frozen=True)
class Pass:
    """The images that features are computed of: the train split, varied or not, then the validation split as it is.

    An image is decoded once and then varied, so they come image by image: variation 0 of the first, 1 of the first.
    They are stored as `KeptFeed` takes them: variation 0 of all, then 1 of all.

    Attributes:
        dataset: Whose images they are.
        size_px: Height and width that they are resized to.
        variants: Variations of each training image; 1 without `augment`.
        augment: Makes them; None for the image as it is.
        seed: Variation v of image i has the seed (`seed` + v, i).
    """

    dataset: Dataset
    size_px: int
    variants: int = 1
    augment: Augmentation | None = None
    seed: int = 0

    @property
    def training_rows(self) -> int:
        """How many rows the train split gives; those of validation follow."""
        return self.dataset.size("train") * self.variants

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return self.training_rows + self.dataset.size("validation")

    def batches(self, first: int, size: int) -> tf.data.Dataset:
        """Returns the images from the one at `first` on, uint8 [size or fewer, size_px, size_px, 3]."""
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

    def places(self, first: int, end: int) -> NDArray[np.int64]:
        """Returns where the rows of these images are stored."""
        at = np.arange(first, end)
        image, variant = np.divmod(at, self.variants)
        return np.where(at < self.training_rows, variant * self.dataset.size("train") + image, at)

    def _varied(self, decoded: tf.data.Dataset, first: int, augment: Augmentation) -> tf.data.Dataset:
        """Returns the variations of images from the variation `first` of the first on; validation's are as they are."""
        trained = self.dataset.size("train")

        def each(index: tf.Tensor, image: tf.Tensor) -> tf.data.Dataset:
            variants = tf.data.Dataset.range(tf.where(index < trained, tf.constant(self.variants, tf.int64), 1))
            return variants.map(lambda variant: (variant, index, image))

        def vary(variant: tf.Tensor, index: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
            seed = tf.stack([self.seed + variant, index])
            return tf.cond(index < trained, lambda: augment(image, seed), lambda: image)

        return decoded.flat_map(each).skip(first).map(vary, num_parallel_calls=tf.data.AUTOTUNE)


def compute_features(
    images: Pass, forward: Forward, features: Features, chunks: Chunks | None, interruption: Interruption
) -> None:
    """Fills in the features of images.

    Args:
        images: Which.
        forward: The frozen network.
        features: [rows, ...], filled.
        chunks: Those computed before, by a process that was killed; keeps what is computed now.
        interruption: Asked for after every batch: an exception in the midst of TensorFlow's work may crash it.
    """
    counter = Counter("train", images.rows, "images")
    done = 0
    for rows in chunks.read() if chunks else ():
        features[images.places(done, done + len(rows))] = rows
        done += len(rows)
    if done:
        log.info("%d of %d features are there from before", done, images.rows)
        counter.add(done)
    interruption.unsaved = True
    # Chunks end where batches do, so that an image has the same neighbours, and to the last bit the same features.
    for batch in images.batches(done, forward.batch):
        rows = forward(batch)
        features[images.places(done, done + len(rows))] = rows
        done += len(rows)
        counter.add(len(rows))
        if chunks:
            chunks.add(rows)
        if interruption.signal:
            if chunks:
                chunks.write()
            interruption.check()
    interruption.unsaved = False


def reserve(shape: tuple[int, ...], memory_mib: int, disk_mib: int) -> Features | None:
    """Returns room for features: in memory, or else in a file, which goes when the array goes, or the process.

    Args:
        shape: Of all of them.
        memory_mib: As much may be in memory.
        disk_mib: As much may be in the folder for temporary files.

    Returns:
        float32, not filled; None if it is more than either, or the disk has not as much.
    """
    size = 4 * int(np.prod(shape))
    needed = f"{np.ceil(size / (1 << 20)):,.0f} MiB"
    if size <= memory_mib << 20:
        log.info("kept in memory: %s", needed)
        return np.empty(shape, np.float32)
    if size > disk_mib << 20:
        budgets = f"train.cache_mib={memory_mib} and train.cache_disk_mib={disk_mib}"
        log.info("not kept: they would take %s, more than %s", needed, budgets)
        return None
    with tempfile.TemporaryFile(suffix=".features") as file:  # without a name: nothing to clear up, even after a kill
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # a mapped file that the disk has no room for kills a process
        except OSError as error:
            log.warning("not kept: %s in %s: %s", needed, tempfile.gettempdir(), error.strerror)
            return None
        log.info("kept on disk: %s in %s", needed, tempfile.gettempdir())
        return np.memmap(file, np.float32, "r+", shape=shape)


def digest(images: Pass, frozen: keras.Model, how: str) -> str:
    """Returns a name for features, by all that they depend on.

    Args:
        images: Of which.
        frozen: By what.
        how: Anything else.
    """
    hashed = hashlib.sha256()
    for array in frozen.get_weights():
        hashed.update(f"{array.shape}".encode() + array.tobytes())
    facts = (images.dataset.digest(), images.size_px, images.variants, images.seed, frozen.output_shape, how)
    hashed.update(repr(facts).encode())
    return hashed.hexdigest()[:16]
