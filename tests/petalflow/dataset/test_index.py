from pathlib import Path

import pytest

from petalflow import storage
from petalflow.dataset import Entry, ImageStatistics, Record, index_path, read_index, write_index, write_ranges
from petalflow.dataset.index import RANGES, parse_index
from petalflow.dataset.shards import frame_record, unframe_record
from petalflow.errors import PetalflowError

RECORDS = [
    Record(b"one", (0,), 'daisy/ä, "1".jpg', f"{1:064x}", "burst 7", (("camera", "a\u2028b"),)),
    Record(b"the other", (1, 2), "rose/2.jpg", f"{2:064x}"),
    Record(b"", (), "rose/3.jpg", f"{3:064x}"),
]
MEASURE = ImageStatistics(300, 200, 1.25, 100.0, 255.0)


def entry(record: Record) -> Entry:
    from_record = (record.labels, record.group, record.slices)
    return Entry(record.filename, record.sha256, len(record.to_bytes()), bool(record.group), MEASURE, *from_record)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = index_path(tmp_path, "train-00000-of-00001.tfrecord")
    write_index(path, map(entry, RECORDS))
    return path


def test_an_index_is_read_as_it_was_written(index: Path) -> None:
    assert list(read_index(index)) == [entry(record) for record in RECORDS]


def test_an_entry_is_found_by_its_hash_with_the_offset_of_its_record(index: Path) -> None:
    shard = b"".join(frame_record(record.to_bytes()) for record in RECORDS)
    for record in RECORDS:
        ((offset, found),) = parse_index(index.read_bytes(), "index", record.sha256.__eq__)
        assert found == entry(record)
        assert unframe_record(shard[offset : offset + found.record_bytes + 16]) == record.to_bytes()


@pytest.mark.parametrize("place", [2, 30, 300, -1])
def test_a_damaged_index_is_an_error_that_names_it(index: Path, place: int) -> None:
    data = bytearray(index.read_bytes())
    data[place] ^= 1
    index.write_bytes(data)
    with pytest.raises(PetalflowError, match=rf"{index.name} is damaged"):
        list(read_index(index))


def test_ranges_hold_the_lowest_and_highest_hash_of_each_shard(index: Path, tmp_path: Path) -> None:
    write_index(index_path(tmp_path, "test-00000-of-00001.tfrecord"), [])
    write_ranges(tmp_path)
    ranges = {"train-00000-of-00001.tfrecord": [RECORDS[0].sha256, RECORDS[2].sha256]}
    assert storage.read_json(str(tmp_path / RANGES)) == ranges


def test_a_damaged_frame_is_refused() -> None:
    frame = frame_record(RECORDS[0].to_bytes())
    for place in range(len(frame)):
        with pytest.raises(ValueError, match="damaged"):
            unframe_record(frame[:place] + bytes([frame[place] ^ 1]) + frame[place + 1 :])
    with pytest.raises(ValueError, match="damaged"):
        unframe_record(frame[:-20])
