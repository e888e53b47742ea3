import uuid

import numpy as np
import pytest

from components.train.chunks import Chunks
from petalflow import storage

ROWS = np.arange(24, dtype=np.float32).reshape(8, 3)


@pytest.fixture(params=["local", "memory"])
def uri(request: pytest.FixtureRequest, tmp_path) -> str:
    return str(tmp_path / "chunks") if request.param == "local" else f"memory://{uuid.uuid4().hex}/chunks"


def kept(uri: str) -> np.ndarray:
    return np.concatenate([*Chunks(uri, (3,)).read(), np.empty((0, 3), np.float32)])


def write(uri: str) -> list[str]:
    chunks = Chunks(uri, (3,), every_s=0)
    for part in np.split(ROWS, [2, 5]):
        chunks.add(part)
    return [storage.join(uri, file.name) for file in storage.list_files(uri)]


def test_what_was_kept_is_read_in_order_and_added_to(uri: str) -> None:
    first = Chunks(uri, (3,), every_s=0)
    first.add(ROWS[:2])
    first.add(ROWS[2:5])
    second = Chunks(uri, (3,))
    np.testing.assert_array_equal(np.concatenate(list(second.read())), ROWS[:5])
    second.add(ROWS[5:6])
    second.add(ROWS[6:])
    np.testing.assert_array_equal(kept(uri), ROWS[:5])  # the time for the next has not come
    second.write()
    np.testing.assert_array_equal(kept(uri), ROWS)


def test_a_chunk_that_is_damaged_is_taken_for_none_and_those_behind_it_wait_for_it(uri: str) -> None:
    files = write(uri)
    whole = storage.read_bytes(files[1])
    for damaged in (whole[:-1], bytes([whole[0] ^ 1]) + whole[1:]):
        storage.write_bytes(files[1], damaged)
        np.testing.assert_array_equal(kept(uri), ROWS[:2])
    storage.remove(files[1])
    np.testing.assert_array_equal(kept(uri), ROWS[:2])
    again = Chunks(uri, (3,), every_s=0)
    list(again.read())
    again.add(ROWS[2:5])
    np.testing.assert_array_equal(kept(uri), ROWS)


def test_a_place_that_cannot_be_written_is_said_and_ends_nothing(tmp_path, caplog) -> None:
    (tmp_path / "file").write_text("no folder")
    chunks = Chunks(str(tmp_path / "file" / "chunks"), (3,), every_s=0)
    chunks.add(ROWS)
    chunks.add(ROWS)
    assert caplog.text.count("cannot be kept") == 1
