import gc
import io
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.local_copies import Copies, Files
from petalflow.storage import File

DATA = bytes(range(256)) * 40


def test_any_part_of_a_file_is_read_from_any_storage(place: str) -> None:
    for name, data in {"a": DATA, "b": DATA[::-1], "empty": b""}.items():
        storage.write_bytes(storage.join(place, name), data)
    files = Files(place)
    first, second, empty = (files.open(File(name, size)) for name, size in (("a", 10240), ("b", 10240), ("empty", 0)))
    assert (first.size_bytes, empty.size_bytes) == (10240, 0)
    assert first.read(0, 3) == DATA[:3]
    assert first.read(257, 5) == DATA[257:262]
    assert second.read(0, 10**12) == DATA[::-1]  # and nothing of the copy behind it
    assert (first.read(10239, 5), first.read(10240, 5), empty.read(0, 5)) == (DATA[-1:], b"", b"")


def test_a_file_is_fetched_once_for_many_threads(place: str) -> None:
    storage.write_bytes(storage.join(place, "a"), DATA)
    files = Files(place)
    with ThreadPoolExecutor(8) as pool:
        assert len({id(one) for one in pool.map(files.open, [File("a", len(DATA))] * 64)}) == 1


def test_copies_have_no_name_and_vanish_with_their_last_reader() -> None:
    copies = Copies()
    copy = copies.add(io.BytesIO(DATA), len(DATA), "a")
    del copies
    assert copy.read(5, 5) == DATA[5:10]
    number = copy.file.fileno()
    assert os.stat(number).st_nlink == 0
    del copy
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


@pytest.mark.parametrize(("stated_bytes", "why"), [(5, "larger than 5"), (20_000, "ends after 10,240 of 20,000")])
def test_a_file_of_an_unexpected_size_is_refused(stated_bytes: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Copies().add(io.BytesIO(DATA), stated_bytes, "a")


def test_at_most_one_byte_too_many_is_read() -> None:
    reader = io.BytesIO(bytes(3_000_000))
    with pytest.raises(ValueError, match="larger than 1,000,000"):
        Copies().add(reader, 1_000_000, "zeros")
    assert reader.tell() == 1_000_001


def test_a_full_disk_is_reported_before_copying() -> None:
    with pytest.raises(UsageError, match=r"no space for a copy of big\.gz .*TMPDIR"):
        Copies().add(io.BytesIO(DATA), 1 << 60, "big.gz")
