"""IDX files, the format of MNIST and Fashion-MNIST, gzipped or not.

```
source/
  train-images-idx3-ubyte.gz   train-labels-idx1-ubyte.gz
  t10k-images-idx3-ubyte.gz    t10k-labels-idx1-ubyte.gz
  labels.txt                   (optional: one class name per line; without it, the classes are 0, 1, ...)
```

Format: two zero bytes, a type byte (8: uint8), the number of dimensions, each dimension as a big-endian 32-bit integer,
then the values (http://yann.lecun.com/exdb/mnist/).
"""

import functools
import gzip
import hashlib
import io
import re
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.listing import Item, Listing, changed
from petalflow.source.local_copies import Copies, LocalFile, RandomAccessFile

_IMAGES = re.compile(r"(?P<part>train|t10k|test|validation)-images[.-]idx3-ubyte(?:\.gz)?")
_SPLITS = {"train": "train", "t10k": "test", "test": "test", "validation": "validation"}
_UINT8 = 0x08
# Deflate expands by no more than this: a header that states more is damaged.
_MAX_RATIO = 1032
_CLASS_NAMES = "labels.txt"


def recognises(address: str) -> bool:
    """Returns True if a folder holds IDX image files."""
    return bool(_image_files(address))


@dataclass(frozen=True)
class IdxFiles:
    """A folder of IDX files.

    Attributes:
        address: The folder.
    """

    address: str

    def check(self) -> None:
        """Raises UsageError if an image file lacks its labels."""
        for name in _image_files(self.address):
            if not storage.exists(storage.join(self.address, _labels_file(name))):
                raise UsageError(f"source {self.address} has {name} but lacks {_labels_file(name)}")

    def list(self) -> Listing:
        """Returns the listing: one item per image, whose content is its pixels."""
        _opened.cache_clear()  # the files may have changed
        images, names = _image_files(self.address), _read_class_names(self.address)
        source = _opened(self.address, _stamps(self.address, images))
        items = [item for name in images for item in _list_images(source, name, names)]
        known = {*images, *map(_labels_file, images), _CLASS_NAMES}
        ignored = tuple(file.name for file in storage.list_files(self.address) if file.name not in known)
        return Listing("IDX files", tuple(sorted(items, key=lambda item: item.address)), ignored)

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader that gives an item's pixels as a PNG file, and fails if they have changed."""
        source = _opened(self.address, _stamps(self.address, _image_files(self.address)))

        def read(item: Item) -> bytes:
            name, _, index = item.address.partition("#")
            images = source.images(name)
            pixels = images.pixels(int(index))
            if images.sha256(pixels) != item.sha256:
                raise changed(item)
            buffer = io.BytesIO()
            Image.frombytes("L", (images.width, images.height), pixels).save(buffer, "PNG")
            return buffer.getvalue()

        return read


def read_idx(address: str, dimensions: int) -> NDArray[np.uint8]:
    """Returns the values of an IDX file of unsigned bytes.

    Args:
        address: The file, gzipped or not.
        dimensions: Their expected number: 3 for images, 1 for labels.

    Raises:
        UsageError: If it is not such a file, or truncated.
    """
    with _open_idx(address, dimensions) as (reader, shape, _):
        size_bytes = _product(shape)
        data = reader.read(size_bytes + 1)  # one more, to see that the file ends there
        if len(data) != size_bytes:
            raise _incomplete(address, f"{len(data)} values", shape)
    return np.frombuffer(data, np.uint8).reshape(shape)


@dataclass(frozen=True)
class _Images:
    """The images of a file.

    Attributes:
        file: The unpacked file.
        start: The offset of the first pixel, in bytes.
        count: The number of images.
        height: The height of each, in pixels.
        width: The width of each, in pixels.
    """

    file: RandomAccessFile
    start: int
    count: int
    height: int
    width: int

    def pixels(self, index: int) -> bytes:
        """Returns the pixels of an image, row by row; none if the file has no such image."""
        size_bytes = self.height * self.width
        return self.file.read(self.start + index * size_bytes, size_bytes)

    def sha256(self, pixels: bytes) -> str:
        """Returns the hash of an image's size and pixels: the same pixels in another shape are another image."""
        return hashlib.sha256(struct.pack(">II", self.height, self.width) + pixels).hexdigest()


class _Source:
    """The image files of a source, each unpacked on first use; safe for threads."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._copies = Copies()
        self._lock = threading.Lock()
        self._images: dict[str, _Images] = {}

    def images(self, name: str) -> _Images:
        """Returns the images of a file."""
        if name not in self._images:
            with self._lock:  # otherwise every thread would unpack the whole file
                if name not in self._images:
                    self._images[name] = self._open(storage.join(self.address, name))
        return self._images[name]

    def _open(self, address: str) -> _Images:
        with _open_idx(address, 3) as (reader, shape, packed):
            count, height, width = shape
            if packed or not storage.is_local(address):
                return _Images(self._copies.add(reader, _product(shape), address), 0, count, height, width)
            start = reader.tell()
            file = LocalFile(storage.local_path(address), reader.seek(0, io.SEEK_END))
        if file.size_bytes - start != _product(shape):
            raise _incomplete(address, f"{file.size_bytes - start} values", shape)
        return _Images(file, start, count, height, width)


@functools.lru_cache(maxsize=4)
def _opened(address: str, stamps: tuple[object, ...]) -> _Source:
    """Returns a source, opened once per process unless its files change, so as not to unpack them for every shard."""
    return _Source(address)


def _stamps(address: str, names: list[str]) -> tuple[object, ...]:
    return tuple((name, storage.modified(storage.join(address, name))) for name in names)


def _list_images(source: _Source, name: str, class_names: list[str]) -> Iterator[Item]:
    address, labels_name = source.address, _labels_file(name)
    with _open_idx(storage.join(address, labels_name), 1) as (_, (labels_count,), _):
        pass  # only its header, before unpacking what claims to be large
    with _open_idx(storage.join(address, name), 3) as (_, (count, *_), _):
        pass
    if count != labels_count:
        raise UsageError(f"{name} contains {count} images but {labels_name} {labels_count} labels")
    labels = read_idx(storage.join(address, labels_name), dimensions=1)
    if class_names and labels.max(initial=0) >= len(class_names):
        raise UsageError(f"{_CLASS_NAMES} names {len(class_names)} classes but a label is {labels.max()}")
    images = source.images(name)
    if not images.width * images.height:
        raise UsageError(f"{name} contains images of {images.width}×{images.height} pixels, which are empty")
    split = _SPLITS[name.partition("-")[0]]
    width = len(str(max(count - 1, 0)))  # so that addresses sort as numbers do
    classes = [(class_name,) for class_name in class_names or map(str, range(256))]
    for index, label in enumerate(labels.tolist()):
        pixels = images.pixels(index)
        yield Item(f"{name}#{index:0{width}d}", classes[label], images.sha256(pixels), len(pixels), split)


@contextmanager
def _open_idx(address: str, dimensions: int) -> Iterator[tuple[IO[bytes], tuple[int, ...], bool]]:
    """Yields a reader of an IDX file's values, their shape, and whether the file is compressed.

    Raises:
        UsageError: If it is not such a file; also if reading fails in the block.
    """
    with storage.open_file(address) as file:
        try:
            packed = file.read(2) == b"\x1f\x8b"
            size_bytes = file.seek(0, io.SEEK_END)
            file.seek(0)
            reader = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file
            head = reader.read(4 + 4 * dimensions)
            zero, kind, rank = struct.unpack_from(">HBB", head)
            shape = struct.unpack_from(f">{dimensions}I", head, 4)
            if (zero, kind, rank) != (0, _UINT8, dimensions):
                raise UsageError(f"{address} is not an IDX file of unsigned bytes in {dimensions} dimensions")
            if _product(shape) > size_bytes * (_MAX_RATIO if packed else 1):
                raise _incomplete(address, f"{size_bytes:,} bytes", shape)
            yield reader, shape, packed
        except (OSError, EOFError, ValueError, zlib.error, struct.error) as error:
            raise UsageError(f"{address} is not a complete IDX file: {error}") from None


def _incomplete(address: str, found: str, shape: tuple[int, ...]) -> UsageError:
    return UsageError(f"{address} is incomplete: {found} where the header states {shape}")


def _product(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=object))


def _image_files(address: str) -> list[str]:
    return [file.name for file in storage.list_files(address, deep=False) if _IMAGES.fullmatch(file.name)]


def _labels_file(images: str) -> str:
    return images.replace("-images", "-labels").replace("idx3", "idx1")


def _read_class_names(address: str) -> list[str]:
    names = storage.join(address, _CLASS_NAMES)
    if not storage.exists(names):
        return []
    try:
        text = storage.read_bytes(names).decode()
    except UnicodeDecodeError:
        raise UsageError(f"{names} is not UTF-8; save it as UTF-8") from None
    # Not by str.splitlines, which would make two classes of a name with U+2028, and shift the labels after it.
    lines = [line.strip() for line in io.StringIO(text, newline=None) if line.strip()]
    twice = [name for name, count in Counter(lines).items() if count > 1]
    if twice:
        raise UsageError(f"{names} names {' and '.join(twice)} more than once; give each class a name of its own")
    return lines
