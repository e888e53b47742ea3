"""IDX files, the format of MNIST and Fashion-MNIST, gzipped or not.

```
source/
  train-images-idx3-ubyte.gz   train-labels-idx1-ubyte.gz
  t10k-images-idx3-ubyte.gz    t10k-labels-idx1-ubyte.gz
  labels.txt                   (optional: a class name a line; else the classes are 0, 1, ...)
```

Format: two zero bytes, a type byte (8: uint8), the number of dimensions, each dimension as
a big-endian 32-bit integer, then the values (http://yann.lecun.com/exdb/mnist/).
"""

import functools
import gzip
import hashlib
import io
import re
import struct
import threading
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.listing import Item, Listing, changed
from petalflow.source.options import SourceOptions

_IMAGES = re.compile(r"(?P<part>train|t10k|test|validation)-images[.-]idx3-ubyte(?:\.gz)?")
_SPLITS = {"train": "train", "t10k": "test", "test": "test", "validation": "validation"}
_UINT8 = 0x08
_CLASS_NAMES = "labels.txt"


def recognises(address: str) -> bool:
    """Tells whether a folder holds IDX image files."""
    return bool(_image_files(address))


def check(address: str, options: SourceOptions) -> None:
    """Raises UsageError if an image file lacks its labels."""
    for name in _image_files(address):
        if not storage.exists(storage.join(address, _labels_of(name))):
            raise UsageError(f"source {address} has {name} but no {_labels_of(name)}")


def list_items(address: str, options: SourceOptions) -> Listing:
    """Returns the listing: an item an image, whose content is its pixels."""
    images = _image_files(address)
    names = _class_names(address)
    items: list[Item] = []
    for name in images:
        items += _items_of(address, name, names)
    known = {*images, *map(_labels_of, images), _CLASS_NAMES}
    ignored = tuple(file.name for file in storage.list_files(address) if file.name not in known)
    return Listing("IDX files", tuple(sorted(items, key=lambda item: item.address)), ignored)


def open_reader(address: str, options: SourceOptions) -> Callable[[Item], bytes]:
    """Returns a reader that gives an item's pixels as a PNG file, and fails if they are no longer as listed."""
    lock = threading.Lock()

    @functools.cache  # a file's images, once a reader
    def images_of(name: str) -> NDArray[np.uint8]:
        return read_idx(storage.join(address, name), dimensions=3)

    def read(item: Item) -> bytes:
        name, _, index = item.address.partition("#")
        with lock:  # or every thread would begin by unpacking the whole file for itself
            images = images_of(name)
        if int(index) >= len(images) or _sha256(images[int(index)]) != item.sha256:
            raise changed(item)
        buffer = io.BytesIO()
        Image.fromarray(images[int(index)]).save(buffer, "PNG")
        return buffer.getvalue()

    return read


def _items_of(address: str, name: str, class_names: list[str]) -> list[Item]:
    images = read_idx(storage.join(address, name), dimensions=3)
    labels = read_idx(storage.join(address, _labels_of(name)), dimensions=1)
    if len(images) != len(labels):
        raise UsageError(f"{name} holds {len(images)} images but {_labels_of(name)} {len(labels)} labels")
    if class_names and labels.max(initial=0) >= len(class_names):
        raise UsageError(f"{_CLASS_NAMES} names {len(class_names)} classes but a label is {labels.max()}")
    split = _SPLITS[name.partition("-")[0]]
    width = len(str(max(len(images) - 1, 0)))  # so that addresses sort as numbers do
    return [
        Item(
            address=f"{name}#{index:0{width}d}",
            labels=(class_names[label] if class_names else str(label),),
            sha256=_sha256(image),
            size_bytes=image.nbytes,
            split=split,
        )
        for index, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def read_idx(address: str, dimensions: int) -> NDArray[np.uint8]:
    """Returns the values of an IDX file of unsigned bytes.

    Args:
        address: The file, gzipped or not.
        dimensions: How many it must have: 3 for images, 1 for labels.

    Raises:
        UsageError: If it is not such a file, or cut short.
    """
    data = storage.read_bytes(address)
    try:
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        zero, kind, rank = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{dimensions}I", data, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UsageError(f"{address} is not a whole IDX file: {error}") from None
    if (zero, kind, rank) != (0, _UINT8, dimensions):
        raise UsageError(f"{address} is not an IDX file of unsigned bytes in {dimensions} dimensions")
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
    if values.size != np.prod(shape, dtype=np.int64):
        raise UsageError(f"{address} is cut short: {values.size} values where {shape} are announced")
    return values.reshape(shape)


def _sha256(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def _image_files(address: str) -> list[str]:
    return [file.name for file in storage.list_files(address, deep=False) if _IMAGES.fullmatch(file.name)]


def _labels_of(images: str) -> str:
    return images.replace("-images", "-labels").replace("idx3", "idx1")


def _class_names(address: str) -> list[str]:
    names = storage.join(address, _CLASS_NAMES)
    if not storage.exists(names):
        return []
    try:
        text = storage.read_bytes(names).decode()
    except UnicodeDecodeError:
        raise UsageError(f"{names} is not UTF-8; save it as UTF-8") from None
    return [line.strip() for line in text.splitlines() if line.strip()]
