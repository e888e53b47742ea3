"""Beside each shard a list of its records: enough to find one, and to know its image, without reading it.

A later conversion of nearly the same source takes records from here (`--previous`).

```
index/
  train-00000-of-00002.jsonl     a line a record, in order; before them one with the hash of all the others
  ranges.json                    shard -> the least and the greatest content hash in it: which shard may hold an image
```
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from petalflow import storage
from petalflow.dataset.shards import FRAME_BYTES
from petalflow.dataset.statistics import Measure
from petalflow.errors import PetalflowError

FOLDER = "index"
RANGES = f"{FOLDER}/ranges.json"

# Where a line, `["<hash>",<record_bytes>,...`, has them.
_SHA256, _RECORD_BYTES = slice(2, 66), 68

# Made once: json.dumps would make one for each record.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a shard.

    Attributes:
        filename: Its address in the source.
        sha256: Hash of its content in the source.
        record_bytes: Length of the serialized record, without the frame that TFRecord puts around it.
        rewritten: Whether its image is not byte for byte that of the source.
        measure: What its image is like.
        labels: Its labels, as in the record.
        group: Its group, as in the record.
        slices: What else the record says of it.
    """

    filename: str
    sha256: str
    record_bytes: int
    rewritten: bool
    measure: Measure
    labels: tuple[int, ...] = ()
    group: str = ""
    slices: tuple[tuple[str, str], ...] = ()


def index_name(shard: str) -> str:
    """Returns the name of a shard's index, relative to the dataset's folder."""
    return f"{FOLDER}/{shard.removesuffix('.tfrecord')}.jsonl"


def index_path(root: Path, shard: str) -> Path:
    """Returns where the index of a shard is.

    Args:
        root: The dataset's folder.
        shard: The shard's file name.
    """
    return root / index_name(shard)


def write_index(path: Path, entries: Iterable[Entry]) -> None:
    """Writes the index of a shard, in the order of its records."""
    lines, hashes = list[str](), list[str]()
    for entry in entries:
        measure = entry.measure
        of_image = (measure.width_px, measure.height_px, measure.red, measure.green, measure.blue)
        said = (entry.filename, entry.labels, entry.group, entry.slices)
        lines.append(_encode((entry.sha256, entry.record_bytes, entry.rewritten, of_image, *said)))
        hashes.append(entry.sha256)
    body = "".join(f"{line}\n" for line in lines).encode()
    head = {"sha256": _sha256(body), "first": min(hashes, default=""), "last": max(hashes, default="")}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_encode(head).encode() + b"\n" + body)


def read_index(path: Path) -> Iterator[Entry]:
    """Yields what `write_index` wrote.

    Raises:
        PetalflowError: If it is damaged.
    """
    return (entry for _, entry in parse_index(path.read_bytes(), str(path)))


def parse_index(
    data: bytes, name: str, wanted: Callable[[str], bool] = lambda sha256: True
) -> Iterator[tuple[int, Entry]]:
    """Yields the entries of an index, each with the offset of its record's frame in the shard, in bytes.

    Args:
        data: The index, as `write_index` wrote it.
        name: What to call it in messages.
        wanted: Given an image's content hash, tells whether to yield its entry.

    Raises:
        PetalflowError: If it is damaged.
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
    # At once, which takes half the time; and of those lines only, since images are looked for in many shards.
    for offset, values in zip(offsets, json.loads(b"[%s]" % b",".join(lines)), strict=True):
        sha256, record_bytes, rewritten, of_image, filename, labels, group, slices = values
        said = (tuple(labels), group, tuple((name, value) for name, value in slices))
        yield offset, Entry(filename, sha256, record_bytes, rewritten, Measure(*of_image), *said)


def write_ranges(root: Path) -> None:
    """Writes which content hashes each shard's index is about; an index without entries is left out."""
    ranges = {}
    for path in sorted((root / FOLDER).glob("*.jsonl")):
        with path.open("rb") as file:
            head = json.loads(file.readline())
        if head["last"]:
            ranges[f"{path.stem}.tfrecord"] = [head["first"], head["last"]]
    storage.write_json(str(root / RANGES), ranges)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
