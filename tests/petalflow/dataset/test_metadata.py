import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from petalflow import storage
from petalflow.dataset import (
    Dataset,
    Entry,
    ImageStatistics,
    Record,
    Shard,
    index_path,
    open_dataset,
    read_shard,
    shard_name,
    write_index,
    write_metadata,
    write_shard,
)
from petalflow.errors import PetalflowError

CLASSES = ("daisy", "glöckchen")
# Split -> the labels of the records in each of its shards.
SHARDS = {"train": [[0, 1, 0], [1, 1]], "validation": [[0]], "test": [[1, 0]]}
COUNTS = {
    "train": {"daisy": 2, "glöckchen": 3},
    "validation": {"daisy": 1, "glöckchen": 0},
    "test": {"daisy": 1, "glöckchen": 1},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset written by hand."""
    with storage.building(tmp_path / "dataset") as root:
        shards = {split: [_write(root, split, index) for index in range(len(of))] for split, of in SHARDS.items()}
        statistics = {"fingerprint": "f00d", "counts": COUNTS, "images": 9}
        write_metadata(root, classes=CLASSES, shards=shards, statistics=statistics)
    return tmp_path / "dataset"


def _write(root: Path, split: str, index: int) -> Shard:
    labels = SHARDS[split][index]
    path = root / shard_name(split, index, len(SHARDS[split]))
    write_shard(
        path, [Record(b"image", (label,), f"{split}/{index}/{n}", "").to_bytes() for n, label in enumerate(labels)]
    )
    return Shard(len(labels), path.stat().st_size)


def test_a_dataset_is_opened_as_it_was_written(root: Path) -> None:
    dataset = open_dataset(root)
    assert isinstance(dataset, Dataset)
    assert (dataset.fingerprint, dataset.classes) == ("f00d", CLASSES)
    assert dataset.counts == COUNTS
    assert dataset.shards == {"train": 2, "validation": 1, "test": 1}
    assert dataset.statistics["images"] == 9
    assert list(dataset.counts) == list(dataset.shards) == ["train", "validation", "test"]


def test_sizes_and_files_follow_the_shards(root: Path) -> None:
    dataset = open_dataset(str(root))
    assert [dataset.size(split) for split in ("train", "validation", "test", "unknown")] == [5, 1, 2, 0]
    assert dataset.paths("train") == [root / f"train-0000{index}-of-00002.tfrecord" for index in range(2)]
    assert dataset.paths("unknown") == []
    assert all(path.is_file() for split in SHARDS for path in dataset.paths(split))


def test_records_are_in_order_across_shards(root: Path) -> None:
    records = list(open_dataset(root).records("train"))
    assert [record.labels[0] for record in records] == [0, 1, 0, 1, 1]
    assert [record.filename for record in records] == [f"train/{name}" for name in ("0/0", "0/1", "0/2", "1/0", "1/1")]


def test_lengths_are_the_numbers_of_records_in_each_shard(root: Path) -> None:
    dataset = open_dataset(root)
    assert {split: dataset.lengths(split) for split in SHARDS} == {"train": [3, 2], "validation": [1], "test": [2]}
    assert dataset.lengths("unknown") == []


def test_labels_are_read_from_the_index_or_from_the_records_without_one(root: Path) -> None:
    dataset = open_dataset(root)
    expected = [(0,), (1,), (0,), (1,), (1,)]
    assert list(dataset.labels("train")) == expected
    assert list(dataset.labels("unknown")) == []
    for path in dataset.paths("train"):
        entries = [
            Entry(record.filename, "0" * 64, 9, False, ImageStatistics(4, 4, 0, 0, 0), record.labels)
            for record in map(Record.from_bytes, list(read_shard(path)))
        ]
        write_index(index_path(dataset.root, path.name), entries)
        path.write_bytes(b"no records")
    assert list(dataset.labels("train")) == expected


def test_tfds_finds_every_split_by_its_template(root: Path) -> None:
    info = json.loads((root / "dataset_info.json").read_text())
    assert info["fileFormat"] == "tfrecord"
    assert [split["name"] for split in info["splits"]] == list(SHARDS)
    for split in info["splits"]:
        assert split["filepathTemplate"] == "{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}"
        assert split["shardLengths"] == [str(len(labels)) for labels in SHARDS[split["name"]]]
        sizes = [path.stat().st_size for path in open_dataset(root).paths(split["name"])]
        assert split["numBytes"] == str(sum(sizes))


def test_the_features_and_class_names_are_written(root: Path) -> None:
    features = json.loads((root / "features.json").read_text())["featuresDict"]["features"]
    assert sorted(features) == ["filename", "group", "image", "label", "sha256"]
    assert features["label"]["classLabel"]["numClasses"] == "2"
    assert (root / "label.labels.txt").read_text(encoding="utf-8").splitlines() == list(CLASSES)


@pytest.mark.parametrize(
    "name", ["train-00001-of-00002.tfrecord", "features.json", "dataset_info.json", "statistics.json", "complete.json"]
)
def test_a_dataset_that_lacks_a_file_is_not_opened(root: Path, name: str) -> None:
    (root / name).unlink()
    with pytest.raises(PetalflowError, match=f"not a complete dataset .*{name}"):
        open_dataset(root)


def test_a_shard_truncated_between_two_records_is_noticed(root: Path) -> None:
    path = root / "train-00000-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    assert len(list(read_shard(path))) == 1  # of three: the checksums reveal nothing
    with pytest.raises(PetalflowError, match=path.name):
        open_dataset(root)


def test_a_folder_without_a_dataset_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(PetalflowError, match="not a complete dataset"):
        open_dataset(tmp_path)


def test_writing_and_opening_need_no_tensorflow(
    run_python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = run_python(
        """
        import sys
        from pathlib import Path
        from petalflow import dataset, storage
        with storage.building(sys.argv[1]) as root:
            dataset.write_metadata(root, classes=["a"], shards={}, statistics={"fingerprint": "f", "counts": {}})
        dataset.open_dataset(sys.argv[1])
        print([name for name in ("tensorflow", "keras") if name in sys.modules])
        """,
        str(tmp_path / "dataset"),
    )
    assert done.stdout == "[]\n", done.stderr


def test_the_features_are_written_as_tfds_writes_them(root: Path, tmp_path: Path) -> None:
    tfds.builder_from_directory(root).info.features.save_config(tmp_path)
    for name in ("features.json", "label.labels.txt"):
        assert (tmp_path / name).read_bytes() == (root / name).read_bytes()
