"""Thumbnails for dataset.html: of the first records of each class, and of rejects that can be decoded."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from components.convert.account import REJECTS_FOLDER, RecordedImage, recorded_images
from components.convert.plan import Plan
from components.convert.shard import ShardResult
from petalflow import imaging, storage
from petalflow.dataset import Record, index_path, read_record, shard_name
from petalflow.dataset.index import parse_index
from petalflow.source import Reject

# At about 4 kB each, this many thumbnails keep the page small enough for mail and browsers. Further classes get none.
MAX_CLASSES = 400
_MAX_EACH = 8
_MAX_REJECTS = 60
_SIDE_PX = 112
# The peak memory is this number times that of a large decoded image.
_THREADS = 4
_MAX_PIXELS = {"jpeg": 100_000_000, "png": 16_000_000}  # a JPEG is decoded at a fraction of its size
_REJECT_RULES = imaging.Rules(max_bytes=16 << 20, max_pixels=_MAX_PIXELS["png"])


@dataclass(frozen=True)
class Picture:
    """A thumbnail on the page.

    Attributes:
        uri: The thumbnail as a data: URI.
        title: Address of the image in the source.
    """

    uri: str
    title: str


@dataclass(frozen=True)
class _Location:
    """Where a record is (path of the shard, offset in bytes), and the number of pixels of its image."""

    path: str
    offset: int
    pixels: int


def sample_pictures(
    root: Path, classes: Sequence[str], plan: Plan, results: Sequence[ShardResult], shards: str
) -> dict[str, list[Picture]]:
    """Returns thumbnails of each class, up to a number of classes; very large images are skipped.

    Args:
        root: The dataset's folder with the indexes.
        classes: Class names.
        plan: The plan of the shards.
        results: The outcomes of the shards, in the same order.
        shards: Address of the folder with the shards.
    """
    shown: dict[str, list[Picture]] = {name: [] for name in classes[:MAX_CLASSES]}
    each = min(_MAX_EACH, max(1, MAX_CLASSES // max(1, len(classes))))
    chosen = list(_choose_samples(dict.fromkeys(shown, each), plan, results))
    with ThreadPoolExecutor(_THREADS) as pool:
        uris = pool.map(_record_uri, _locate(root, chosen, plan, shards))
        for one, uri in zip(chosen, uris, strict=True):
            for label in one.item.labels:
                if uri and label in shown and len(shown[label]) < each:
                    shown[label].append(Picture(uri, one.item.address))
    return shown


def reject_pictures(root: Path, rejects: Sequence[Reject], files: Mapping[str, str]) -> dict[str, Picture]:
    """Returns thumbnails of rejects by address, if their files were copied and can be decoded, up to a limit.

    Args:
        root: The dataset's folder.
        rejects: The rejects to show.
        files: Address -> file name in the folder of rejects.
    """
    addresses = [reject.address for reject in rejects if reject.address in files][:_MAX_REJECTS]
    with ThreadPoolExecutor(_THREADS) as pool:
        uris = pool.map(_file_uri, (str(root / REJECTS_FOLDER / files[address]) for address in addresses))
        return {address: Picture(uri, address) for address, uri in zip(addresses, uris, strict=True) if uri}


def _choose_samples(left: dict[str, int], plan: Plan, results: Sequence[ShardResult]) -> Iterator[RecordedImage]:
    """Yields the first images of each class.

    Args:
        left: Class name -> number of images still to be chosen; emptied on the way.
        plan: The plan of the shards.
        results: The outcomes of the shards, in the same order.
    """
    for recorded in recorded_images(plan, results):
        wanted = [label for label in recorded.item.labels if label in left]
        if wanted:
            yield recorded
        for label in wanted:
            left[label] -= 1
            if not left[label]:
                del left[label]
        if not left:
            return


def _locate(root: Path, chosen: Sequence[RecordedImage], plan: Plan, shards: str) -> Iterator[_Location]:
    """Yields the locations of the records of images, in order."""
    for number, in_shard in groupby(chosen, key=lambda one: one.shard):
        shard, hashes = plan.shards[number], [one.item.sha256 for one in in_shard]
        name = shard_name(shard.split, shard.index, shard.count)
        index = index_path(root, name).read_bytes()
        found = {
            entry.sha256: _Location(
                storage.join(shards, name), offset, entry.statistics.width_px * entry.statistics.height_px
            )
            for offset, entry in parse_index(index, name, frozenset(hashes).__contains__)
        }
        yield from (found[sha256] for sha256 in hashes)


def _record_uri(location: _Location) -> str | None:
    with storage.open_file(location.path) as file:

        def read(offset: int, size: int) -> bytes:
            file.seek(offset)
            return bytes(file.read(size))

        image = Record.from_bytes(read_record(read, location.offset)).image
    return _uri(image) if location.pixels <= _MAX_PIXELS[imaging.sniff(image)] else None


def _file_uri(path: str) -> str | None:
    try:
        return _uri(imaging.prepare(storage.read_bytes(path), _REJECT_RULES).data)
    except imaging.Rejected:
        return None


def _uri(image: bytes) -> str:
    data, media_type = imaging.thumbnail(image, _SIDE_PX)
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
