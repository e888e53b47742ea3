"""The dataset before this one, most of which is often the same: its records are taken over, and not made again."""

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
    """Returns where the dataset of the live release is, as its lineage says; None if there is none.

    It only makes converting faster, so it is no argument of the step, which would keep it from being cached.
    """
    try:
        live = registry.live(registry_uri, name)
    except PetalflowError:  # the steps that need it say so
        return None
    address = live.lineage.get("dataset") if live else None
    return str(address) if address else None


def preparation(settings: ConvertSettings) -> dict[str, Any]:
    """Returns what decides how an image of given content comes out, but for what is said of it, as a JSON value."""
    rules = {**asdict(settings.rules()), "background": settings.background}
    return {"imaging": imaging.fingerprint(), "records": _code(), "rules": rules}


@cache
def _code() -> str:
    """Returns a hash of the sources that give an image's bytes and write its record."""
    paths = [path for package in (source, dataset) for path in sorted(Path(str(package.__file__)).parent.rglob("*.py"))]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def usable(address: str | None, settings: ConvertSettings) -> str | None:
    """Returns the address of the dataset before if records may be taken from it; else says why not, and None."""
    if address is None:
        return None
    try:
        why_not = _unfit(address, settings)
    except (PetalflowError, OSError, ValueError) as error:
        why_not = f"it cannot be read: {error}"
    if not why_not:
        return storage.absolute(address)
    log.info("nothing is taken from the dataset before, %s, and every image decoded: %s", address, why_not)
    return None


def _unfit(address: str, settings: ConvertSettings) -> str:
    if why_incomplete := storage.why_incomplete(address):
        return why_incomplete
    if not storage.exists(storage.join(address, RANGES)):
        return "it has no list of its records"
    statistics = storage.read_json(storage.join(address, STATISTICS_FILE))
    if statistics.get("preparation") != preparation(settings):
        return "it was made by another version, or with other settings of images"
    return ""


@dataclass(frozen=True, slots=True)
class Found:
    """A record of the dataset before.

    Attributes:
        entry: What the index says of it.
        offset: Where its frame begins in the shard, in bytes.
        shard: The shard, open for reading.
    """

    entry: Entry
    offset: int
    shard: int

    @property
    def end(self) -> int:
        """Where its frame ends."""
        return self.offset + self.entry.record_bytes + FRAME_BYTES


def read_frames(found: Sequence[Found | None]) -> list[bytes]:
    """Returns records in their frames, unchecked; nothing for None, and too little of what cannot be read.

    Those that lie one after the other, as most do, are read at once.
    """
    frames = [b""] * len(found)
    for start, end in _runs(found):
        run = [one for one in found[start:end] if one]
        first = run[0].offset
        with contextlib.suppress(OSError):  # what is missing is noticed with the checksum
            data = os.pread(run[0].shard, run[-1].end - first, first)
            frames[start:end] = [data[one.offset - first : one.end - first] for one in run]
    return frames


def _runs(found: Sequence[Found | None]) -> Iterator[tuple[int, int]]:
    """Yields from where to where records lie one after the other in one shard."""
    start = 0
    for end in range(1, len(found) + 1):
        before, after = found[end - 1], found[end] if end < len(found) else None
        if before and after and (before.shard, before.end) == (after.shard, after.offset):
            continue
        if before:
            yield start, end
        start = end


class Kept:
    """What the dataset before has of some images."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Found] = {}

    def add(self, found: Found) -> None:
        """Takes in one record."""
        self._found[found.entry.filename, found.entry.sha256] = found

    def find(self, item: Item) -> Found | None:
        """Returns the record of an image that is unchanged, whatever is said of it now."""
        return self._found.get((item.address, item.sha256))


@contextlib.contextmanager
def kept_records(address: str | None, conversion: str, items: Sequence[Item]) -> Iterator[Kept]:
    """Gives the records of the dataset before that are of these images, for the block's time.

    A shard that is far away is copied here whole, by one request, where any record of it is wanted.

    Args:
        address: The dataset, as `usable` returned it.
        conversion: What tells this conversion from another in one process.
        items: The images of one shard.
    """
    kept = Kept()
    if not address or not items:
        yield kept
        return
    by_hash = {item.sha256 for item in items}
    least, greatest = min(by_hash), max(by_hash)
    with contextlib.ExitStack() as files:
        for shard, (first, last) in _ranges(address, conversion).items():
            if first > greatest or last < least:
                continue
            try:
                _add(kept, address, shard, by_hash, files)
            except (PetalflowError, OSError) as error:
                log.warning("nothing is taken from %s of the dataset before: %s", shard, error)
        yield kept


@lru_cache(maxsize=1)  # once a process, which writes many shards
def _ranges(address: str, conversion: str) -> dict[str, tuple[str, str]]:
    ranges: dict[str, tuple[str, str]] = storage.read_json(storage.join(address, RANGES))
    return ranges


def _add(kept: Kept, address: str, shard: str, by_hash: Collection[str], files: contextlib.ExitStack) -> None:
    name = index_name(shard)
    entries = list(parse_index(storage.read_bytes(storage.join(address, name)), name, by_hash.__contains__))
    if entries:
        path = files.enter_context(storage.local_file(storage.join(address, shard)))
        file = files.enter_context(path.open("rb"))
        for offset, entry in entries:
            kept.add(Found(entry, offset, file.fileno()))
