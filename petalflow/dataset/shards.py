"""TFRecord shards in plain Python.

Format of a TFRecord file, record after record (https://www.tensorflow.org/tutorials/load_data/tfrecord):

    uint64 length | uint32 masked crc32c of length | bytes data | uint32 masked crc32c of data
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import google_crc32c

from petalflow.errors import PetalflowError

_MASK_DELTA = 0xA282EAD8


def shard_name(split: str, index: int, count: int) -> str:
    """Returns a shard's file name, as TFDS expects it."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def write_shard(path: Path, records: Iterable[bytes]) -> int:
    """Writes serialized records to a file.

    Returns:
        How many there were.
    """
    count = 0
    with path.open("wb") as file:
        for data in records:
            length = struct.pack("<Q", len(data))
            file.write(length + _masked_crc(length) + data + _masked_crc(data))
            count += 1
    return count


def read_shard(path: Path) -> Iterator[bytes]:
    """Yields the serialized records of a file, each checked against its checksum.

    Raises:
        PetalflowError: If the file is damaged.
    """
    with path.open("rb") as file:
        while head := file.read(12):
            # The length's own checksum first: a wrong length could ask for all the memory there is.
            sound = len(head) == 12 and head[8:] == _masked_crc(head[:8])
            data = file.read(struct.unpack("<Q", head[:8])[0]) if sound else b""
            if not sound or file.read(4) != _masked_crc(data):
                raise PetalflowError(f"{path} is damaged near byte {file.tell():,}; convert again")
            yield data


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)
