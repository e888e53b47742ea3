import hashlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.convert.job import Job
from components.convert.plan import ShardPlan
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardResult, ShardWriter
from petalflow import imaging
from petalflow.dataset import Record, index_path, read_index, read_shard, shard_name
from petalflow.errors import PetalflowError
from petalflow.source import Item, open_source


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


def test_an_unreadable_image_is_one_reject_and_the_rest_go_on(flowers: Path, tmp_path: Path) -> None:
    (flowers / "daisy" / "002.jpg").write_bytes((flowers / "daisy" / "002.jpg").read_bytes()[:300])
    (flowers / "rose" / "003.jpg").write_bytes(b"")
    result = writer(flowers, tmp_path / "out")(plan(flowers))
    assert [(reject.address, reject.label, reject.reason) for reject in result.rejects] == [
        ("daisy/002.jpg", "daisy", "unreadable"),
        ("rose/003.jpg", "rose", "empty"),
    ]
    assert counts(result) == {"daisy": 4, "rose": 4}
    assert len(records(tmp_path / "out")) == 8


def test_an_image_beyond_the_limits_is_a_reject(flowers: Path, tmp_path: Path) -> None:
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


def test_a_writer_can_be_shipped_to_a_worker(flowers: Path, tmp_path: Path) -> None:
    shipped = pickle.loads(pickle.dumps(writer(flowers, tmp_path / "out")))  # noqa: S301  (our own bytes)
    assert counts(shipped(plan(flowers))) == {"daisy": 5, "rose": 5}


def test_an_image_of_too_many_bytes_is_refused_unread_and_in_the_same_words(flowers: Path, tmp_path: Path) -> None:
    write, listed = writer(flowers, tmp_path / "out", max_image_mib=1), plan(flowers)
    large = replace(listed.items[0], size_bytes=(1 << 20) + 1)  # which it is not, so nobody looked
    (reject,) = write(replace(listed, items=(large, *listed.items[1:]))).rejects
    with pytest.raises(imaging.Rejected) as refused:
        imaging.prepare(bytes((1 << 20) + 1), write.job.settings.rules())
    assert (reject.address, reject.reason, reject.sentence) == (large.address, refused.value.reason, str(refused.value))


def test_the_index_says_what_is_in_the_shard(flowers: Path, tmp_path: Path) -> None:
    writer(flowers, tmp_path / "out")(plan(flowers))
    for record, entry in zip(
        records(tmp_path / "out"), read_index(index_path(tmp_path / "out", shard_name("train", 0, 1))), strict=True
    ):
        assert (entry.filename, entry.sha256, entry.labels) == (record.filename, record.sha256, record.labels)
        assert (entry.record_bytes, entry.rewritten) == (len(record.to_bytes()), False)
        assert (entry.measure.width_px, entry.measure.height_px) == (32, 32)
