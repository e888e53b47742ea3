"""TFRecord shards in plain Python.

Format of a TFRecord file, record after record (https://www.tensorflow.org/tutorials/load_data/tfrecord):

    uint64 length | uint32 masked crc32c of length | bytes data | uint32 masked crc32c of data
"""

import struct
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import google_crc32c

from petalflow.errors import PetalflowError

_MASK_DELTA = 0xA282EAD8
_HEAD_BYTES, _CRC_BYTES = 12, 4
FRAME_BYTES = _HEAD_BYTES + _CRC_BYTES  # overhead of each record

# Given an offset and a size, returns that many bytes of a file; fewer at the end of the file.
ReadAt = Callable[[int, int], bytes]


def shard_name(split: str, index: int, count: int) -> str:
    """Returns the file name of a shard, as TFDS expects it."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def write_shard(path: Path, records: Iterable[bytes]) -> int:
    """Writes serialized records to a file.

    Returns:
        The number of records.
    """
    count = 0
    with path.open("wb") as file:
        for data in records:
            file.write(frame_record(data))
            count += 1
    return count


def frame_record(data: bytes) -> bytes:
    """Returns a serialized record in its TFRecord frame."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked_crc(length), data, _masked_crc(data)))


def unframe_record(frame: bytes) -> bytes:
    """Returns the serialized record in a TFRecord frame.

    Raises:
        ValueError: If the frame is damaged.
    """
    data = frame[_HEAD_BYTES:-_CRC_BYTES]
    if (
        not _is_intact_head(frame[:_HEAD_BYTES])
        or _length(frame) != len(data)
        or frame[-_CRC_BYTES:] != _masked_crc(data)
    ):
        raise ValueError("the record is damaged")
    return data


def read_shard(path: Path) -> Iterator[bytes]:
    """Yields the serialized records of a file and verifies their checksums.

    Raises:
        PetalflowError: If the file is damaged.
    """
    with path.open("rb") as file:
        while head := file.read(_HEAD_BYTES):
            # The checksum of the length first: a wrong length could exhaust the memory.
            intact = _is_intact_head(head)
            data = file.read(_length(head)) if intact else b""
            if not intact or file.read(_CRC_BYTES) != _masked_crc(data):
                raise PetalflowError(f"{path} is damaged near byte {file.tell():,}; convert again")
            yield data


def record_offsets(read: ReadAt, size_bytes: int) -> "array[int]":
    """Returns the offsets of the records of a file, in bytes; reads only their lengths.

    Args:
        read: Reads the file.
        size_bytes: Size of the file, in bytes.

    Raises:
        ValueError: If a length is damaged, or the file is truncated.
    """
    offsets, at = array("Q"), 0
    while at < size_bytes:
        offsets.append(at)
        at = record_end(at, _checked_length(read(at, _HEAD_BYTES), at))
    if at > size_bytes:
        raise ValueError(f"cut short at byte {size_bytes:,}")
    return offsets


def read_record(read: ReadAt, offset: int) -> bytes:
    """Returns the serialized record at an offset of a file and verifies its checksum.

    Args:
        read: Reads the file.
        offset: Offset of the record, in bytes.

    Raises:
        ValueError: If the record is damaged.
    """
    length = _checked_length(read(offset, _HEAD_BYTES), offset)
    body = read(offset + _HEAD_BYTES, length + _CRC_BYTES)
    data = body[:length]
    if body[length:] != _masked_crc(data):
        raise ValueError(f"damaged near byte {offset:,}")
    return data


def record_end(offset: int, record_bytes: int) -> int:
    """Returns the offset of the next record, in bytes.

    Args:
        offset: Offset of the record, in bytes.
        record_bytes: Length of the serialized record.
    """
    return offset + _HEAD_BYTES + record_bytes + _CRC_BYTES


def _checked_length(head: bytes, offset: int) -> int:
    if not _is_intact_head(head):
        raise ValueError(f"damaged near byte {offset:,}")
    return _length(head)


def _is_intact_head(head: bytes) -> bool:
    return len(head) == _HEAD_BYTES and head[8:] == _masked_crc(head[:8])


def _length(head: bytes) -> int:
    return int.from_bytes(head[:8], "little")


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)
