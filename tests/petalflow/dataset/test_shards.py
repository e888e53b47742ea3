import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.dataset import read_record, read_shard, record_offsets, shard_name, write_shard
from petalflow.dataset.shards import frame_record, record_end
from petalflow.errors import PetalflowError

RECORDS = [b"first", b"the second one", b"\x00" * 40]


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_records_are_read_as_they_were_written(records: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard"
        assert write_shard(path, iter(records)) == len(records)
        assert list(read_shard(path)) == records


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("shard") / "shard"
    write_shard(path, RECORDS)
    return path.read_bytes()


def read(data: bytes, folder: Path) -> list[bytes]:
    (folder / "damaged").write_bytes(data)
    return list(read_shard(folder / "damaged"))


def test_a_flipped_bit_anywhere_is_noticed(shard: bytes, tmp_path: Path) -> None:
    for place in range(len(shard)):
        damaged = bytearray(shard)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(PetalflowError, match="damaged"):
            read(bytes(damaged), tmp_path)


def test_a_file_truncated_inside_a_record_is_noticed(shard: bytes, tmp_path: Path) -> None:
    ends = {0}
    for record in RECORDS:
        ends.add(max(ends) + 16 + len(record))
    assert max(ends) == len(shard)
    for length in set(range(len(shard))) - ends:
        with pytest.raises(PetalflowError, match="damaged"):
            read(shard[:length], tmp_path)


def test_trailing_bytes_are_noticed(shard: bytes, tmp_path: Path) -> None:
    with pytest.raises(PetalflowError, match=r"damaged near byte .*; convert again"):
        read(shard + b"more", tmp_path)


def test_records_before_the_damage_are_still_read(shard: bytes, tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(shard[:-1])
    reader = read_shard(tmp_path / "damaged")
    assert [next(reader), next(reader)] == RECORDS[:2]


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, size: data[offset : offset + size]


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_each_record_is_read_by_its_offset(records: list[bytes]) -> None:
    data = b"".join(map(frame_record, records))
    offsets = record_offsets(reader(data), len(data))
    assert [read_record(reader(data), offset) for offset in offsets] == records
    ends = [record_end(offset, len(record)) for offset, record in zip(offsets, records, strict=True)]
    assert [*offsets[1:], len(data)] == (ends or [0])


def test_damage_is_noticed_when_reading_by_offset(shard: bytes) -> None:
    offsets = record_offsets(reader(shard), len(shard))
    for place in range(len(shard)):
        damaged = bytearray(shard)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(ValueError, match="damaged near byte"):
            [read_record(reader(bytes(damaged)), offset) for offset in offsets]
    for length in set(range(1, len(shard))) - set(offsets):
        with pytest.raises(ValueError, match=r"damaged near byte|cut short at byte"):
            record_offsets(reader(shard[:length]), length)


def crc32c(data: bytes) -> int:
    """Returns the checksum bit by bit, as RFC 3720 defines it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def test_the_bytes_are_those_of_the_tfrecord_format(shard: bytes) -> None:
    assert crc32c(b"123456789") == 0xE3069283
    lengths = [struct.pack("<Q", len(record)) for record in RECORDS]
    framed = [size + masked(size) + data + masked(data) for size, data in zip(lengths, RECORDS, strict=True)]
    assert shard == b"".join(framed)


def test_shards_are_named_as_tfds_expects() -> None:
    assert shard_name("train", 3, 12) == "train-00003-of-00012.tfrecord"
