"""Beside each shard a list of its records: enough to find one, and to know its image, without reading it.

A later conversion of nearly the same source takes records from here (`--previous`).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from petalflow.dataset.statistics import Measure

FOLDER = "index"


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a shard.

    Attributes:
        filename: Its address in the source.
        sha256: Hash of its content in the source.
        record_bytes: Length of the serialized record, without the frame that TFRecord puts around it.
        rewritten: Whether its image is not byte for byte that of the source.
        measure: What its image is like.
    """

    filename: str
    sha256: str
    record_bytes: int
    rewritten: bool
    measure: Measure


def index_path(root: Path, shard: str) -> Path:
    """Returns where the index of a shard is.

    Args:
        root: The dataset's folder.
        shard: The shard's file name.
    """
    return root / FOLDER / f"{shard.removesuffix('.tfrecord')}.jsonl"


def write_index(path: Path, entries: Iterable[Entry]) -> None:
    """Writes the index of a shard, in the order of its records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for entry in entries:
            values = [entry.filename, entry.sha256, entry.record_bytes, entry.rewritten, *astuple(entry.measure)]
            file.write(json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n")


def read_index(path: Path) -> Iterator[Entry]:
    """Yields what `write_index` wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            filename, sha256, record_bytes, rewritten, *measure = json.loads(line)
            yield Entry(filename, sha256, record_bytes, rewritten, Measure(*measure))
