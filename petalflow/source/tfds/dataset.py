"""Prepared TFDS datasets: TFRecords with dataset_info.json and features.json.

```
source/                                         source/
  dataset_info.json  features.json                1.0.0/
  label.labels.txt                                2.0.1/      the highest is read
  mnist-train.tfrecord-00000-of-00001             ...
  mnist-test.tfrecord-00000-of-00001
```

They are read in plain Python, without TensorFlow.
"""

import functools
import hashlib
import logging
import threading
from array import array
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.listing import Item, Listing, Reject, changed
from petalflow.source.local_copies import Files, RandomAccessFile
from petalflow.source.options import SourceOptions
from petalflow.source.tfds.named import INFO_FILE, highest_version
from petalflow.source.tfds.schema import FEATURES_FILE, Shard, list_shards, read_info, read_schema

log = logging.getLogger(__name__)

_THREADS = 8
_NO_LABEL = -1  # as written by TFDS
# A feature with fewer images per value than this identifies single images, and is not a slice.
_MIN_IMAGES_PER_VALUE = 10


def recognises(address: str) -> bool:
    """Returns True if a folder is a dataset's, or the one above its versions."""
    is_dataset = any(storage.exists(storage.join(address, name)) for name in (INFO_FILE, FEATURES_FILE))
    return is_dataset or highest_version(address) is not None


def prepared_folder(address: str) -> str:
    """Returns the folder that holds the records: the address itself, or the highest version below it."""
    if storage.exists(storage.join(address, FEATURES_FILE)):
        return address
    return highest_version(address) or address


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset.

    Attributes:
        address: What the user calls it.
        folder: The folder that holds its records.
        options: How to read it.
    """

    address: str
    folder: str
    options: SourceOptions

    def check(self) -> None:
        """Raises UsageError if the metadata is not that of images of two classes or more."""
        if len(_Records(self.folder).schema.classes) < 2:
            raise UsageError(f"source {self.address} has fewer than two classes")

    def list(self) -> Listing:
        """Returns the listing: one item per record, whose content is its encoded image."""
        _opened.cache_clear()  # the dataset may have been prepared again
        records = _opened(self.folder)
        with ThreadPoolExecutor(_THREADS) as pool:
            listed = [*pool.map(records.list_shard, records.shards.values())]
        items = sorted((item for items, _ in listed for item in items), key=lambda item: item.address)
        rejects = sorted((reject for _, rejects in listed for reject in rejects), key=lambda reject: reject.address)
        if not records.schema.sure:
            items = _without_unique_slices(items)
        _log_unused(self.address, records)
        return Listing(
            "a TFDS dataset",
            tuple(items),
            tuple(sorted(name for names in records.others.values() for name in names)),
            tuple(rejects),
            records.schema.multi_label or self.options.multi_label,
        )

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the encoded images, which fails if one has changed since it was listed."""
        records = _opened(self.folder)

        def read(item: Item) -> bytes:
            try:
                image = records.image(item.address)
            except (FileNotFoundError, LookupError, ValueError):
                raise changed(item) from None
            if hashlib.sha256(image).hexdigest() != item.sha256:
                raise changed(item)
            return image

        return read


class _Records:
    """The records of a prepared dataset; safe to read from many threads.

    Attributes:
        root: Its folder.
        schema: The meaning of its features.
        shards: File name -> the file, for the splits that are read.
        others: Name of another split -> names of its files.
    """

    def __init__(self, root: str) -> None:
        info = read_info(root)
        shards, self.others = list_shards(root, info)
        self.root, self.schema = root, read_schema(root, info)
        self.shards = {shard.file.name: shard for shard in shards}
        self._files = Files(root)
        self._ready: dict[str, tuple[RandomAccessFile, array[int]]] = {}
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def list_shard(self, shard: Shard) -> tuple[list[Item], list[Reject]]:
        """Returns a shard's images, hashed, and those without a label.

        Raises:
            UsageError: If the shard is damaged, or does not hold what its metadata states.
        """
        name, rows = shard.file.name, list[Item | Reject]()
        try:
            file, offsets = self._open(name)
            if len(offsets) != shard.records:
                raise ValueError(f"{len(offsets)} records where {INFO_FILE} states {shard.records}")
            width = len(str(max(len(offsets) - 1, 0)))  # so that addresses sort as numbers do
            for index, offset in enumerate(offsets):
                rows.append(self._row(f"{name}#{index:0{width}d}", shard.split, _features(file, offset)))
        except (ValueError, FileNotFoundError) as error:
            where = storage.join(self.root, name)
            raise UsageError(f"{where} cannot be read: {error}; prepare or copy the dataset again") from None
        return [row for row in rows if isinstance(row, Item)], [row for row in rows if isinstance(row, Reject)]

    def image(self, address: str) -> bytes:
        """Returns the encoded image of a record.

        Raises:
            ValueError, LookupError, FileNotFoundError: If it is gone.
        """
        name, _, index = address.rpartition("#")
        file, offsets = self._open(name)
        return _value(_features(file, offsets[int(index)]), self.schema.image)

    def _open(self, name: str) -> "tuple[RandomAccessFile, array[int]]":
        from petalflow.dataset import record_offsets

        if name not in self._ready:
            with self._locks[name]:  # reads each file once, while others need not wait
                file = self._files.open(self.shards[name].file)
                self._ready.setdefault(name, (file, record_offsets(file.read, file.size_bytes)))
        return self._ready[name]

    def _row(self, address: str, split: str, feature: Any) -> Item | Reject:
        schema, image = self.schema, _value(feature, self.schema.image)
        numbers = feature[schema.label].int64_list.value
        if not schema.multi_label and list(numbers) in ([], [_NO_LABEL]):
            return Reject(address, "", "no_label", "the dataset gives it no label")
        if not all(0 <= number < len(schema.classes) for number in numbers):
            raise ValueError(f"{address} has the label {max(numbers)} of {len(schema.classes)} classes")
        slices = ((name, self._text(feature, key)) for key, name in schema.slices.items())
        return Item(
            address=address,
            labels=tuple(sorted({schema.classes[number] for number in numbers})),
            sha256=hashlib.sha256(image).hexdigest(),
            size_bytes=len(image),
            split=split,
            group=(_value(feature, schema.group).decode() or None) if schema.group else None,
            slices=tuple(sorted((name, value) for name, value in slices if value)),
        )

    def _text(self, feature: Any, key: str) -> str:
        """Returns the value of a slice's feature as text; "" if it is empty."""
        numbers = feature[key].int64_list.value
        if not numbers:
            return _value(feature, key).decode(errors="replace") if feature[key].bytes_list.value else ""
        names = self.schema.names.get(key)
        if names is None:
            return str(numbers[0])
        return names[numbers[0]] if 0 <= numbers[0] < len(names) else ""


@functools.lru_cache(maxsize=4)
def _opened(root: str) -> _Records:
    """Returns a dataset's records, opened once per process, so as not to find each file's records for every shard."""
    return _Records(root)


def _features(file: RandomAccessFile, offset: int) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow_datasets.proto import tf_example_pb2

    from petalflow.dataset import read_record

    try:
        return tf_example_pb2.Example.FromString(read_record(file.read, offset)).features.feature
    except DecodeError:
        raise ValueError(f"not a tf.train.Example at byte {offset:,}") from None


def _value(feature: Any, key: str) -> bytes:
    values = feature[key].bytes_list.value
    if len(values) != 1:
        raise ValueError(f"a record has {len(values)} values of {key}")
    return bytes(values[0])


def _without_unique_slices(items: list[Item]) -> list[Item]:
    """Removes slices whose value differs for nearly every image, like an id: no report could use them."""
    values: dict[str, set[str]] = defaultdict(set)
    for item in items:
        for name, value in item.slices:
            values[name].add(value)
    unique = {name for name, found in values.items() if len(found) * _MIN_IMAGES_PER_VALUE > len(items)}
    for name in sorted(unique):
        log.info(
            "feature %s is not used as a slice: it has %d values for %d images", name, len(values[name]), len(items)
        )
    if not unique:
        return items
    return [replace(item, slices=tuple(pair for pair in item.slices if pair[0] not in unique)) for item in items]


def _log_unused(address: str, records: _Records) -> None:
    for split in records.others:
        log.info("ignored: split %s of %s, which is not train, validation or test", split, address)
    if records.schema.unused:
        log.info("ignored: features %s of %s", ", ".join(records.schema.unused), address)
