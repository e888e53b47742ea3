"""A fixture that writes datasets with everything that validate reads."""

import io
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from petalflow import storage
from petalflow.dataset import (
    Entry,
    ImageStatistics,
    Record,
    Shard,
    Summary,
    index_path,
    shard_name,
    write_index,
    write_metadata,
    write_shard,
)

GOOD = {
    "train": {"daisy": 12, "rose": 10},
    "validation": {"daisy": 1, "rose": 2},
    "test": {"daisy": 1, "rose": 1},
}
ORDINARY = ImageStatistics(320, 240, 120.0, 130.0, 90.0)
MakeDataset = Callable[..., Path]


def tiny_png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    return file.getvalue()


TINY = tiny_png()


def of_content(filename: str) -> str:
    return sha256(filename.encode()).hexdigest()


@pytest.fixture
def make_dataset(tmp_path: Path) -> MakeDataset:
    """A function that writes a dataset with the given number of images per class, by default all different."""

    def make(
        counts: dict[str, dict[str, int]] = GOOD,
        name: str = "dataset",
        rejects: dict[str, int] | None = None,
        content: Callable[[str], str] = lambda filename: filename,
        image: Callable[[str], bytes] = lambda filename: TINY,
        statistics_of: Callable[[str], ImageStatistics] = lambda filename: ORDINARY,
        multi_label: bool = False,
        index: bool = True,
        more: Mapping[str, Any] = {},
    ) -> Path:
        classes = sorted({part for of in counts.values() for label in of for part in label.split("|")})
        shards, summaries, by_class = {}, {}, {}
        with storage.building(tmp_path / name) as root:
            for split, of_label in counts.items():
                named = [
                    (label.split("|"), f"{split}/{label}/{n}") for label in of_label for n in range(of_label[label])
                ]
                summaries[split] = {one: Summary() for one in classes}
                records, entries = [], []
                for labels, filename in named:
                    places = tuple(sorted(map(classes.index, labels)))
                    record = Record(image(filename), places, filename, of_content(content(filename)))
                    records.append(record.to_bytes())
                    entries.append(Entry(filename, record.sha256, len(records[-1]), False, statistics_of(filename)))
                    for label in labels:
                        summaries[split][label].add(statistics_of(filename))
                shards[split] = [_write(root, shard_name(split, 0, 1), records, entries, index=index)]
                by_class[split] = {one: summary.images for one, summary in summaries[split].items()}
            refused = rejects or {}
            statistics = {
                "fingerprint": "f",
                "counts": by_class,
                "images": sum(refused.values()) + sum(one.records for [one] in shards.values()),
                "rejects": refused,
                **more,
                "summaries": {
                    split: {label: one.to_json() for label, one in of.items()} for split, of in summaries.items()
                },
            }
            write_metadata(root, classes=classes, shards=shards, statistics=statistics, multi_label=multi_label)
        return tmp_path / name

    return make


def _write(root: Path, shard: str, records: Sequence[bytes], entries: Sequence[Entry], *, index: bool) -> Shard:
    write_shard(root / shard, records)
    if index:
        write_index(index_path(root, shard), entries)
    return Shard(len(records), (root / shard).stat().st_size)
