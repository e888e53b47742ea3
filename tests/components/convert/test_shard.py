import hashlib
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.convert.plan import ShardPlan
from components.convert.records import Job
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardResult, ShardWriter, make_batches, map_batches
from petalflow import imaging
from petalflow.dataset import Record, index_path, read_index, read_shard, shard_name
from petalflow.errors import PetalflowError
from petalflow.source import Item, open_source

MIB = 1 << 20


def item(number: int, size_bytes: int = 30_000) -> Item:
    return Item(f"a/{number}.jpg", ("a",), f"{number:064x}", size_bytes)


@given(sizes=st.lists(st.integers(0, 3 * MIB), max_size=100), threads=st.integers(1, 20))
def test_batches_are_in_order_complete_and_small(sizes: list[int], threads: int) -> None:
    items = [item(number, size) for number, size in enumerate(sizes)]
    batches = list(make_batches(items, threads))
    assert [one for batch in batches for one in batch] == items
    for batch in batches:
        assert 1 <= len(batch) <= 16
        assert len(batch) == 1 or sum(one.size_bytes for one in batch) <= 2 * MIB


def test_results_are_in_order_whichever_thread_is_first() -> None:
    later = threading.Event()

    def work(batch: object) -> object:
        if batch == items[:1]:
            assert later.wait(60)
        later.set()
        return batch

    items = [item(number) for number in range(4)]
    assert list(map_batches(items, work, threads=2)) == [items[:1], items[1:2], items[2:3], items[3:]]


@pytest.mark.parametrize(("size_bytes", "most"), [(40 * MIB, 1), (20 * MIB, 3), (30_000, 12)])
def test_reading_ahead_is_limited_by_memory(size_bytes: int, most: int) -> None:
    begun: list[object] = []
    items = [item(number, size_bytes) for number in range(64)]
    results = map_batches(items, lambda batch: begun.append(batch) or len(begun), threads=4)
    assert next(results) <= most  # nothing was consumed until then
    results.close()


def test_an_error_is_raised_in_place_of_its_result() -> None:
    def work(batch: object) -> object:
        if batch == items[2:3]:
            raise ValueError("the third")
        return batch

    items = [item(number) for number in range(6)]
    results = map_batches(items, work, threads=2)
    assert [next(results), next(results)] == [items[:1], items[1:2]]
    with pytest.raises(ValueError, match="the third"):
        next(results)


@pytest.fixture
def flowers(tmp_path: Path, make_flowers: Callable[..., Path]) -> Path:
    return make_flowers(tmp_path / "flowers", classes=("daisy", "rose"), each=5)


def writer(source: Path, root: Path, **settings: Any) -> ShardWriter:
    root.mkdir(exist_ok=True)
    listing = open_source(str(source)).list()
    settings = ConvertSettings(**{"threads": 4, **settings})
    return ShardWriter(Job(str(source), str(root), settings, listing.classes, (), len(listing.items), str(root)))


def counts(result: ShardResult) -> dict[str, int]:
    return {name: summary.images for name, summary in result.summaries.items()}


def plan(source: Path) -> ShardPlan:
    return ShardPlan("train", 0, 1, open_source(str(source)).list().items)


def records(root: Path) -> list[Record]:
    return [Record.from_bytes(data) for data in read_shard(root / shard_name("train", 0, 1))]


def test_images_become_records_in_the_order_of_the_plan(flowers: Path, tmp_path: Path) -> None:
    result = writer(flowers, tmp_path / "out")(plan(flowers))
    written = records(tmp_path / "out")
    for record, item in zip(written, plan(flowers).items, strict=True):
        assert (record.filename, record.sha256) == (item.address, item.sha256)
        assert record.labels == (["daisy", "rose"].index(item.label),)
        assert record.image == (flowers / item.address).read_bytes()
    size_bytes = (tmp_path / "out" / shard_name("train", 0, 1)).stat().st_size
    assert (counts(result), result.rewritten, result.rejects) == ({"daisy": 5, "rose": 5}, 0, ())
    assert (result.split, result.index, result.size_bytes) == ("train", 0, size_bytes)


def test_the_number_of_threads_changes_no_byte(flowers: Path, tmp_path: Path) -> None:
    results = [writer(flowers, tmp_path / str(n), threads=n)(plan(flowers)) for n in (1, 2, 16)]
    shards = [(tmp_path / str(n) / shard_name("train", 0, 1)).read_bytes() for n in (1, 2, 16)]
    assert shards[0] == shards[1] == shards[2]
    assert results[0] == results[1] == results[2]


def test_an_unreadable_image_is_rejected_and_the_others_are_kept(flowers: Path, tmp_path: Path) -> None:
    (flowers / "daisy" / "002.jpg").write_bytes((flowers / "daisy" / "002.jpg").read_bytes()[:300])
    (flowers / "rose" / "003.jpg").write_bytes(b"")
    result = writer(flowers, tmp_path / "out")(plan(flowers))
    assert [(reject.address, reject.label, reject.reason) for reject in result.rejects] == [
        ("daisy/002.jpg", "daisy", "unreadable"),
        ("rose/003.jpg", "rose", "empty"),
    ]
    assert counts(result) == {"daisy": 4, "rose": 4}
    assert len(records(tmp_path / "out")) == 8


def test_an_image_beyond_the_limits_is_rejected(flowers: Path, tmp_path: Path) -> None:
    write = writer(flowers, tmp_path / "out", max_side_px=31)
    assert {reject.reason for reject in write(plan(flowers)).rejects} == {"too_large"}


@pytest.mark.parametrize("name", ["daisy/001.jpg", "daisy/shot #1.jpg"])
def test_an_image_that_changed_since_it_was_listed_ends_the_conversion(
    flowers: Path, tmp_path: Path, name: str
) -> None:
    (flowers / name).write_bytes((flowers / "daisy" / "001.jpg").read_bytes() + b"!")
    listed = plan(flowers)
    (flowers / name).write_bytes((flowers / "rose" / "001.jpg").read_bytes())
    with pytest.raises(PetalflowError, match=f"{name} changed while the source was read"):
        writer(flowers, tmp_path / "out")(listed)


def test_a_group_is_written_with_its_image(flowers: Path, tmp_path: Path) -> None:
    data = (flowers / "daisy" / "000.jpg").read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    item = Item("daisy/000.jpg", ("daisy",), sha256, len(data), group="burst 7")
    writer(flowers, tmp_path / "out")(ShardPlan("train", 0, 1, (item,)))
    assert [record.group for record in records(tmp_path / "out")] == ["burst 7"]


def test_a_shard_writer_can_be_pickled(flowers: Path, tmp_path: Path) -> None:
    shipped = pickle.loads(pickle.dumps(writer(flowers, tmp_path / "out")))  # noqa: S301  (our own bytes)
    assert counts(shipped(plan(flowers))) == {"daisy": 5, "rose": 5}


def test_a_file_that_is_too_large_is_rejected_unread_with_the_usual_message(flowers: Path, tmp_path: Path) -> None:
    write, listed = writer(flowers, tmp_path / "out", max_image_mib=1), plan(flowers)
    large = replace(listed.items[0], size_bytes=(1 << 20) + 1)  # its real size is smaller, which nobody notices
    (reject,) = write(replace(listed, items=(large, *listed.items[1:]))).rejects
    with pytest.raises(imaging.Rejected) as refused:
        imaging.prepare(bytes((1 << 20) + 1), write.job.settings.rules())
    assert (reject.address, reject.reason, reject.sentence) == (large.address, refused.value.reason, str(refused.value))


def test_the_index_describes_the_records_of_the_shard(flowers: Path, tmp_path: Path) -> None:
    writer(flowers, tmp_path / "out")(plan(flowers))
    for record, entry in zip(
        records(tmp_path / "out"), read_index(index_path(tmp_path / "out", shard_name("train", 0, 1))), strict=True
    ):
        assert (entry.filename, entry.sha256, entry.labels) == (record.filename, record.sha256, record.labels)
        assert (entry.record_bytes, entry.rewritten) == (len(record.to_bytes()), False)
        assert (entry.statistics.width_px, entry.statistics.height_px) == (32, 32)
