"""Small pictures for dataset.html: of the first records of each class, and of rejects that can be opened."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from components.convert.account import FOLDER, Recorded, records
from components.convert.plan import Plan
from components.convert.shard import ShardResult
from petalflow import imaging, storage
from petalflow.dataset import Record, index_path, read_record, shard_name
from petalflow.dataset.index import parse_index
from petalflow.source import Reject

# So many pictures of 4 kB each leave a page that mails and browsers like; of more classes, the rest have none.
MAX_CLASSES = 400
_MAX_EACH = 8
_MAX_REJECTS = 60
_SIDE_PX = 112
# Times what a large image takes decoded, this is the memory that it costs.
_THREADS = 4
_MAX_PIXELS = {"jpeg": 100_000_000, "png": 16_000_000}  # a JPEG is decoded at a fraction of its size
_OF_REJECTS = imaging.Rules(max_bytes=16 << 20, max_pixels=_MAX_PIXELS["png"])


@dataclass(frozen=True)
class Picture:
    """A picture in a page.

    Attributes:
        uri: Its bytes, as a data: URI.
        title: The image's address in the source.
    """

    uri: str
    title: str


@dataclass(frozen=True)
class _Place:
    """Where a record is: in which file, from which byte on; and the pixels of its image."""

    path: str
    offset: int
    pixels: int


def of_classes(
    root: Path, classes: Sequence[str], plan: Plan, results: Sequence[ShardResult], shards: str
) -> dict[str, list[Picture]]:
    """Returns pictures of each class; of very many classes only of the first, and none of a very large image.

    Args:
        root: The dataset's folder, the indexes in it.
        classes: Class names.
        plan: What was to be in the shards.
        results: What became of it, in the same order.
        shards: Address of the folder that the shards are in.
    """
    shown: dict[str, list[Picture]] = {name: [] for name in classes[:MAX_CLASSES]}
    each = min(_MAX_EACH, max(1, MAX_CLASSES // max(1, len(classes))))
    chosen = list(_choose(dict.fromkeys(shown, each), plan, results))
    with ThreadPoolExecutor(_THREADS) as pool:
        uris = pool.map(_of_record, _locate(root, chosen, plan, shards))
        for one, uri in zip(chosen, uris, strict=True):
            for label in one.item.labels:
                if uri and label in shown and len(shown[label]) < each:
                    shown[label].append(Picture(uri, one.item.address))
    return shown


def of_rejects(root: Path, rejects: Sequence[Reject], files: Mapping[str, str]) -> dict[str, Picture]:
    """Returns pictures by address, of those rejects whose files are there and can be opened: no more than fit a page.

    Args:
        root: The dataset's folder.
        rejects: What may be shown.
        files: Address -> name in the folder of rejects.
    """
    addresses = [reject.address for reject in rejects if reject.address in files][:_MAX_REJECTS]
    with ThreadPoolExecutor(_THREADS) as pool:
        uris = pool.map(_of_file, (str(root / FOLDER / files[address]) for address in addresses))
        return {address: Picture(uri, address) for address, uri in zip(addresses, uris, strict=True) if uri}


def _choose(left: dict[str, int], plan: Plan, results: Sequence[ShardResult]) -> Iterator[Recorded]:
    """Yields the first images of each class, as many as are left to be chosen."""
    for recorded in records(plan, results):
        wanted = [label for label in recorded.item.labels if label in left]
        if wanted:
            yield recorded
        for label in wanted:
            left[label] -= 1
            if not left[label]:
                del left[label]
        if not left:
            return


def _locate(root: Path, chosen: Sequence[Recorded], plan: Plan, shards: str) -> Iterator[_Place]:
    """Yields where the records of images are, in order."""
    for number, of_shard in groupby(chosen, key=lambda one: one.shard):
        shard, hashes = plan.shards[number], [one.item.sha256 for one in of_shard]
        name = shard_name(shard.split, shard.index, shard.count)
        index = index_path(root, name).read_bytes()
        found = {
            entry.sha256: _Place(storage.join(shards, name), offset, entry.measure.width_px * entry.measure.height_px)
            for offset, entry in parse_index(index, name, frozenset(hashes).__contains__)
        }
        yield from (found[sha256] for sha256 in hashes)


def _of_record(place: _Place) -> str | None:
    with storage.open_file(place.path) as file:

        def read(offset: int, size: int) -> bytes:
            file.seek(offset)
            return bytes(file.read(size))

        image = Record.from_bytes(read_record(read, place.offset)).image
    return _uri(image) if place.pixels <= _MAX_PIXELS[imaging.sniff(image)] else None


def _of_file(path: str) -> str | None:
    try:
        return _uri(imaging.prepare(storage.read_bytes(path), _OF_REJECTS).data)
    except imaging.Rejected:
        return None


def _uri(image: bytes) -> str:
    data, media_type = imaging.thumbnail(image, _SIDE_PX)
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
