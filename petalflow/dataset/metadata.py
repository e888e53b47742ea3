"""The metadata of a dataset: the files that TFDS reads, and statistics.json."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petalflow import storage
from petalflow.dataset.index import Entry, index_path, read_index
from petalflow.dataset.record import SLICE, Record
from petalflow.dataset.shards import read_shard, shard_name
from petalflow.dataset.statistics import Summary
from petalflow.errors import PetalflowError
from petalflow.splits import SPLITS, TRAIN

_FILE_PATTERN = "{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}"
_INFO = "dataset_info.json"
STATISTICS_FILE = "statistics.json"
PAGE_FILE = "dataset.html"
_VERSION = "1.0.0"


@dataclass(frozen=True)
class Shard:
    """One file of records.

    Attributes:
        records: Number of records.
        size_bytes: Size of the file, in bytes.
    """

    records: int
    size_bytes: int


@dataclass(frozen=True)
class Dataset:
    """A complete dataset on this machine.

    Attributes:
        root: The dataset's folder.
        fingerprint: Fingerprint of the source.
        classes: Class names; a record's label is an index into them.
        multi_label: True if an image may have several classes.
        sizes: Split -> number of images.
        counts: Split -> class name -> number of images.
        shards: Split -> number of shards.
        statistics: The content of statistics.json.
    """

    root: Path
    fingerprint: str
    classes: tuple[str, ...]
    multi_label: bool
    sizes: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]
    shards: Mapping[str, int]
    statistics: Mapping[str, Any]

    def size(self, split: str) -> int:
        """Returns the number of images in a split; 0 if the dataset has no such split."""
        return self.sizes.get(split, 0)

    def paths(self, split: str) -> list[Path]:
        """Returns the shards of a split, in order."""
        count = self.shards.get(split, 0)
        return [self.root / shard_name(split, index, count) for index in range(count)]

    def lengths(self, split: str) -> list[int]:
        """Returns the number of records in each shard of a split, in the order of `paths`."""
        for one in storage.read_json(str(self.root / _INFO))["splits"]:
            if one["name"] == split:
                return [int(length) for length in one["shardLengths"]]
        return []

    def digest(self) -> str:
        """Returns a hash of all records: the images, their splits, their order, and how they were converted.

        Unlike the fingerprint, it changes if the same source is converted with other settings.
        """
        hashed = hashlib.sha256("\n".join(self.classes).encode())
        for split in self.sizes:
            for path in self.paths(split):
                index = index_path(self.root, path.name)
                with (index if index.exists() else path).open("rb") as file:
                    hashed.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        return hashed.hexdigest()

    def labels(self, split: str) -> Iterator[tuple[int, ...]]:
        """Yields the labels of each record of a split, in order; reads no images where an index exists."""
        for path in self.paths(split):
            index = index_path(self.root, path.name)
            entries: Iterable[Entry | Record] = read_index(index) if index.exists() else self._read_records(path)
            yield from (entry.labels for entry in entries)

    def entries(self, split: str) -> Iterator[Entry]:
        """Yields the index entry of each record of a split, in order, without reading images.

        Raises:
            PetalflowError: If the dataset has no index.
        """
        for path in self.paths(split):
            index = index_path(self.root, path.name)
            if not index.exists():
                raise PetalflowError(
                    f"{self.root} has no index of its records (an older version wrote it); convert again"
                )
            yield from read_index(index)

    def records(self, split: str) -> Iterator[Record]:
        """Yields the records of a split, in order."""
        for path in self.paths(split):
            yield from self._read_records(path)

    def _read_records(self, path: Path) -> Iterator[Record]:
        return map(Record.from_bytes, read_shard(path))


def open_dataset(root: str | Path) -> Dataset:
    """Returns the dataset in a folder.

    Raises:
        PetalflowError: If the folder is not a complete dataset.
    """
    storage.check_complete(root, "dataset", STATISTICS_FILE)
    statistics = storage.read_json(str(Path(root) / STATISTICS_FILE))
    return Dataset(
        root=Path(root),
        fingerprint=statistics["fingerprint"],
        classes=tuple(statistics["classes"]),
        multi_label=statistics["multi_label"],
        sizes=_in_order(statistics["sizes"]),
        counts=_in_order(statistics["counts"]),
        shards=_in_order(statistics["shards"]),
        statistics=statistics,
    )


def typical_short_side_px(dataset: Dataset) -> int:
    """Returns the typical shorter side of a dataset's images: near the median, and exact if all have the same size."""
    summary = Summary()
    for part in dataset.statistics["summaries"][TRAIN].values():
        summary.merge(Summary.from_json(part))
    lowest, highest = summary.middle("short_side_px")
    return round(min(max(min(summary.mean("width_px"), summary.mean("height_px")), lowest), highest))


def _in_order(by_split: Mapping[str, Any]) -> dict[str, Any]:
    # The JSON file has them in alphabetical order; people expect train first.
    return {split: by_split[split] for split in SPLITS if split in by_split}


def write_metadata(
    root: Path,
    *,
    classes: Sequence[str],
    shards: Mapping[str, Sequence[Shard]],
    statistics: Mapping[str, Any],
    multi_label: bool = False,
    slice_names: Sequence[str] = (),
) -> None:
    """Writes all files of a dataset except its records, index, rejects and page.

    Args:
        root: The dataset's folder.
        classes: Class names, in the order of the labels.
        shards: Split -> its shards.
        statistics: Further content of statistics.json: at least "fingerprint" and "counts".
        multi_label: True if an image may have several classes.
        slice_names: Names of the slices that every record has.
    """
    _write_features(root, classes, multi_label, slice_names)
    _write_info(root, shards)
    added = {
        "classes": list(classes),
        "multi_label": multi_label,
        "shards": {split: len(files) for split, files in shards.items()},
        "sizes": {split: sum(file.records for file in files) for split, files in shards.items()},
    }
    storage.write_json(str(root / STATISTICS_FILE), {**statistics, **added})


def _write_features(root: Path, classes: Sequence[str], multi_label: bool, slice_names: Sequence[str]) -> None:
    from tensorflow_datasets import features  # loads TensorFlow only when it decodes

    text, label = features.Text, features.ClassLabel(names=list(classes))
    features.FeaturesDict(
        {
            "image": features.Image(shape=(None, None, 3)),
            "label": features.Sequence(label) if multi_label else label,
            "filename": text(),
            "sha256": text(),
            "group": text(),
            **{SLICE + name: text() for name in slice_names},
        }
    ).save_config(root)


def _write_info(root: Path, shards: Mapping[str, Sequence[Shard]]) -> None:
    splits = [
        {
            "name": split,
            # Without a template in every split, TFDS expects the dataset's name in each file name.
            "filepathTemplate": _FILE_PATTERN,
            "shardLengths": [str(file.records) for file in files],
            "numBytes": str(sum(file.size_bytes for file in files)),
        }
        for split, files in shards.items()
    ]
    info = {
        "name": "petalflow",
        "version": _VERSION,
        "description": "Labelled images converted by Petalflow.",
        "fileFormat": "tfrecord",
        "supervisedKeys": {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}},
        "splits": splits,
    }
    storage.write_json(str(root / _INFO), info)
