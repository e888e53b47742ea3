"""Parts of a test split by what is known of each image: class, size, brightness, format, and the manifest's columns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from petalflow.dataset import Entry
from petalflow.errors import UsageError, did_you_mean

# A column with more values than this identifies images rather than kinds of images.
MOST_VALUES = 50
CLASS, SIZE, BRIGHTNESS, FORMAT = "class", "size", "brightness", "format"
MANIFEST = "manifest"
_SIZES_PX = (64, 128, 256, 512, 1024)
_DARK, _BRIGHT = 85, 170  # thirds of 0..255
_FORMATS = {"jpg": "jpeg", "tif": "tiff"}

Slices = dict[str, dict[str, NDArray[np.bool_]]]


def find_slices(
    entries: Sequence[Entry], labels: Mapping[str, NDArray[np.bool_]], pairs: Iterable[Sequence[str]] = ()
) -> Slices:
    """Returns the slices of a test split: kind -> name, as in "brightness=dark" -> the images in it, [n].

    Args:
        entries: The index entries of the images, in record order.
        labels: Class name -> its images, [n].
        pairs: Kinds to cross, as in ("brightness", "format").

    Raises:
        UsageError: If a pair names an unknown kind.
    """
    slices: Slices = {CLASS: {f"{CLASS}={name}": inside for name, inside in labels.items()}}
    for kind, values in _columns(entries).items():
        found = np.array(values)
        names = list(dict.fromkeys(_in_order(kind, values)))
        if len(names) <= MOST_VALUES:
            slices[kind] = {f"{kind}={name}": found == name for name in names}
    for pair in pairs:
        one, other = (_find_kind(slices, kind) for kind in pair)
        crossed = {f"{a}, {b}": first & second for a, first in one.items() for b, second in other.items()}
        slices[" × ".join(pair)] = {name: inside for name, inside in crossed.items() if inside.any()}
    return slices


def _columns(entries: Sequence[Entry]) -> dict[str, list[str]]:
    columns = {
        SIZE: [_size(min(entry.statistics.width_px, entry.statistics.height_px)) for entry in entries],
        BRIGHTNESS: [_brightness(entry) for entry in entries],
        FORMAT: [_format(entry.filename) for entry in entries],
    }
    of_manifest = [dict(entry.slices) for entry in entries]
    for name in sorted({name for one in of_manifest for name in one}):
        # A column of the manifest must not replace what is measured here.
        kind = f"{MANIFEST}.{name}" if name in (CLASS, *columns) else name
        columns[kind] = [one.get(name) or "(empty)" for one in of_manifest]
    return columns


def _size(short_side_px: int) -> str:
    edges = (0, *_SIZES_PX)
    at = int(np.searchsorted(_SIZES_PX, short_side_px, side="right"))
    if at == len(_SIZES_PX):
        return f"{_SIZES_PX[-1]} px or more"
    return f"{edges[at]} to {edges[at + 1] - 1} px"


def _brightness(entry: Entry) -> str:
    mean = (entry.statistics.red + entry.statistics.green + entry.statistics.blue) / 3
    return "dark" if mean < _DARK else "bright" if mean >= _BRIGHT else "medium"


def _format(filename: str) -> str:
    suffix = PurePosixPath(filename).suffix[1:].lower()
    return _FORMATS.get(suffix, suffix) or "none"


def _in_order(kind: str, values: Sequence[str]) -> Iterator[str]:
    orders = {SIZE: [_size(edge) for edge in (0, *_SIZES_PX)], BRIGHTNESS: ["dark", "medium", "bright"]}
    found = set(values)
    yield from (name for name in orders.get(kind, sorted(found)) if name in found)


def _find_kind(slices: Slices, kind: str) -> dict[str, NDArray[np.bool_]]:
    if kind not in slices:
        raise UsageError(f"evaluate.slice_pairs: no kind is named {kind!r}; {did_you_mean(kind, list(slices))}")
    return slices[kind]
