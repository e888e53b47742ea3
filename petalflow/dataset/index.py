"""The index of each shard: enough to find a record and describe its image without reading it.

A later conversion of nearly the same source uses it to reuse records (`--previous`).

```
index/
  train-00000-of-00002.jsonl     a header with the hash of all other lines, then one line per record, in order
  ranges.json                    shard -> its lowest and highest content hash, to find the shards that may hold an image
```
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from petalflow import storage
from petalflow.dataset.shards import FRAME_BYTES
from petalflow.dataset.statistics import ImageStatistics
from petalflow.errors import PetalflowError

FOLDER = "index"
RANGES = f"{FOLDER}/ranges.json"

# Positions in a line, `["<hash>",<record_bytes>,...`.
_SHA256, _RECORD_BYTES = slice(2, 66), 68

# Created only once; json.dumps would create an encoder for each record.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Entry:
    """The index entry of one record.

    Attributes:
        filename: Address of the image in the source.
        sha256: SHA-256 of the image's content in the source, in hexadecimal.
        record_bytes: Length of the serialized record, without its TFRecord frame.
        rewritten: True if the image is not byte for byte that of the source.
        statistics: Size and mean colours of the image.
        labels: The record's labels.
        group: The record's group.
        slices: The record's slices.
    """

    filename: str
    sha256: str
    record_bytes: int
    rewritten: bool
    statistics: ImageStatistics
    labels: tuple[int, ...] = ()
    group: str = ""
    slices: tuple[tuple[str, str], ...] = ()


def index_name(shard: str) -> str:
    """Returns the name of a shard's index, relative to the dataset's folder."""
    return f"{FOLDER}/{shard.removesuffix('.tfrecord')}.jsonl"


def index_path(root: Path, shard: str) -> Path:
    """Returns the path of a shard's index.

    Args:
        root: The dataset's folder.
        shard: The shard's file name.
    """
    return root / index_name(shard)


def write_index(path: Path, entries: Iterable[Entry]) -> None:
    """Writes the index of a shard, in the order of its records."""
    lines, hashes = list[str](), list[str]()
    for entry in entries:
        image = entry.statistics
        statistics = (image.width_px, image.height_px, image.red, image.green, image.blue)
        metadata = (entry.filename, entry.labels, entry.group, entry.slices)
        lines.append(_encode((entry.sha256, entry.record_bytes, entry.rewritten, statistics, *metadata)))
        hashes.append(entry.sha256)
    body = "".join(f"{line}\n" for line in lines).encode()
    head = {"sha256": _sha256(body), "first": min(hashes, default=""), "last": max(hashes, default="")}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_encode(head).encode() + b"\n" + body)


def read_index(path: Path) -> Iterator[Entry]:
    """Yields the entries of a shard's index.

    Raises:
        PetalflowError: If the index is damaged.
    """
    return (entry for _, entry in parse_index(path.read_bytes(), str(path)))


def parse_index(
    data: bytes, name: str, wanted: Callable[[str], bool] = lambda sha256: True
) -> Iterator[tuple[int, Entry]]:
    """Yields the entries of an index, each with the offset of its record's frame in the shard, in bytes.

    Args:
        data: The index, as `write_index` wrote it.
        name: Name of the index, for messages.
        wanted: Given the content hash of an image, returns whether to yield its entry.

    Raises:
        PetalflowError: If the index is damaged.
    """
    head, _, body = data.partition(b"\n")
    if not head.startswith(f'{{"sha256":"{_sha256(body)}"'.encode()):
        raise PetalflowError(f"{name} is damaged; convert again")
    offset, offsets, lines = 0, list[int](), list[bytes]()
    for line in body.split(b"\n")[:-1]:
        if wanted(line[_SHA256].decode()):
            offsets.append(offset)
            lines.append(line)
        offset += int(line[_RECORD_BYTES : line.index(b",", _RECORD_BYTES)]) + FRAME_BYTES
    # One call parses all lines in half the time. Only wanted lines: a search covers many shards.
    for offset, values in zip(offsets, json.loads(b"[%s]" % b",".join(lines)), strict=True):
        sha256, record_bytes, rewritten, statistics, filename, labels, group, slices = values
        metadata = (tuple(labels), group, tuple((name, value) for name, value in slices))
        yield offset, Entry(filename, sha256, record_bytes, rewritten, ImageStatistics(*statistics), *metadata)


def write_ranges(root: Path) -> None:
    """Writes the range of content hashes of each shard; shards without records are omitted."""
    ranges = {}
    for path in sorted((root / FOLDER).glob("*.jsonl")):
        with path.open("rb") as file:
            head = json.loads(file.readline())
        if head["last"]:
            ranges[f"{path.stem}.tfrecord"] = [head["first"], head["last"]]
    storage.write_json(str(root / RANGES), ranges)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
