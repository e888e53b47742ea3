"""Reuses the records of an earlier dataset for images that have not changed."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from components.convert.settings import ConvertSettings
from petalflow import dataset, imaging, registry, source, storage
from petalflow.dataset import STATISTICS_FILE, Entry
from petalflow.dataset.index import RANGES, index_name, parse_index
from petalflow.dataset.shards import FRAME_BYTES
from petalflow.errors import PetalflowError
from petalflow.source import Item

log = logging.getLogger(__name__)


def previous_dataset(registry_uri: str, name: str) -> str | None:
    """Returns the address of the live release's dataset, as recorded in its lineage, or None.

    It only makes a conversion faster. It is not an argument of the step because it would defeat the cache.
    """
    try:
        live = registry.live(registry_uri, name)
    except PetalflowError:  # the steps that need the registry report it
        return None
    address = live.lineage.get("dataset") if live else None
    return str(address) if address else None


def preparation(settings: ConvertSettings) -> dict[str, Any]:
    """Returns, as a JSON value, all that determines the encoded image that given content leads to."""
    rules = {**asdict(settings.rules()), "background": settings.background}
    return {"imaging": imaging.fingerprint(), "records": _code(), "rules": rules}


@cache
def _code() -> str:
    """Returns a hash of the code that reads images from sources and writes records."""
    paths = [path for package in (source, dataset) for path in sorted(Path(str(package.__file__)).parent.rglob("*.py"))]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def reusable_dataset(address: str | None, settings: ConvertSettings) -> str | None:
    """Returns the absolute address of an earlier dataset, or None (and logs why) if no record can be reused."""
    if address is None:
        return None
    try:
        why_not = _why_not_reusable(address, settings)
    except (PetalflowError, OSError, ValueError) as error:
        why_not = f"it cannot be read: {error}"
    if not why_not:
        return storage.absolute(address)
    log.info("cannot reuse records of the previous dataset %s (%s); decoding every image", address, why_not)
    return None


def _why_not_reusable(address: str, settings: ConvertSettings) -> str:
    if why_incomplete := storage.why_incomplete(address):
        return why_incomplete
    if not storage.exists(storage.join(address, RANGES)):
        return "it has no index of its records"
    statistics = storage.read_json(storage.join(address, STATISTICS_FILE))
    if statistics.get("preparation") != preparation(settings):
        return "it was converted by another version or with other image settings"
    return ""


@dataclass(frozen=True, slots=True)
class PreviousRecord:
    """A record of an earlier dataset.

    Attributes:
        entry: The record's entry in the index.
        offset: Offset of the record's frame in the shard, in bytes.
        shard: File descriptor of the shard, open for reading.
    """

    entry: Entry
    offset: int
    shard: int

    @property
    def end(self) -> int:
        """Offset of the end of the record's frame, in bytes."""
        return self.offset + self.entry.record_bytes + FRAME_BYTES


def read_frames(found: Sequence[PreviousRecord | None]) -> list[bytes]:
    """Returns the frames of records, unchecked; empty for None, empty or too short for what cannot be read.

    Consecutive records, which most are, are read together.
    """
    frames = [b""] * len(found)
    for start, end in _runs(found):
        run = [one for one in found[start:end] if one]
        first = run[0].offset
        with contextlib.suppress(OSError):  # the checksum reveals missing bytes
            data = os.pread(run[0].shard, run[-1].end - first, first)
            frames[start:end] = [data[one.offset - first : one.end - first] for one in run]
    return frames


def _runs(found: Sequence[PreviousRecord | None]) -> Iterator[tuple[int, int]]:
    """Yields the start and end of each run of consecutive records of one shard."""
    start = 0
    for end in range(1, len(found) + 1):
        before, after = found[end - 1], found[end] if end < len(found) else None
        if before and after and (before.shard, before.end) == (after.shard, after.offset):
            continue
        if before:
            yield start, end
        start = end


class PreviousRecords:
    """The records that an earlier dataset has of some images."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], PreviousRecord] = {}

    def add(self, found: PreviousRecord) -> None:
        """Adds a record."""
        self._found[found.entry.filename, found.entry.sha256] = found

    def find(self, item: Item) -> PreviousRecord | None:
        """Returns the record of an image with the same address and content, or None."""
        return self._found.get((item.address, item.sha256))


@contextlib.contextmanager
def previous_records(address: str | None, conversion: str, items: Sequence[Item]) -> Iterator[PreviousRecords]:
    """Yields the records that an earlier dataset has of these images; their shards stay open for the block.

    A shard in an object store is downloaded as a whole if any of its records is wanted.

    Args:
        address: Address of the dataset, as `reusable_dataset` returned it.
        conversion: Id of the conversion, unique within a process.
        items: The images of one shard.
    """
    found = PreviousRecords()
    if not address or not items:
        yield found
        return
    hashes = {item.sha256 for item in items}
    lowest, highest = min(hashes), max(hashes)
    with contextlib.ExitStack() as files:
        for shard, (first, last) in _ranges(address, conversion).items():
            if first > highest or last < lowest:
                continue
            try:
                _add_shard(found, address, shard, hashes, files)
            except (PetalflowError, OSError) as error:
                log.warning("cannot reuse records of %s of the previous dataset: %s", shard, error)
        yield found


@lru_cache(maxsize=1)  # each process writes many shards
def _ranges(address: str, conversion: str) -> dict[str, tuple[str, str]]:
    ranges: dict[str, tuple[str, str]] = storage.read_json(storage.join(address, RANGES))
    return ranges


def _add_shard(
    found: PreviousRecords, address: str, shard: str, hashes: Collection[str], files: contextlib.ExitStack
) -> None:
    name = index_name(shard)
    entries = list(parse_index(storage.read_bytes(storage.join(address, name)), name, hashes.__contains__))
    if entries:
        path = files.enter_context(storage.local_file(storage.join(address, shard)))
        file = files.enter_context(path.open("rb"))
        for offset, entry in entries:
            found.add(PreviousRecord(entry, offset, file.fileno()))
