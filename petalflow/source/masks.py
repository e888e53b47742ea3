"""Masks: pictures in which pixels stand for classes, made of photos. They are not photos of a class.

Their names are those of the photos, and they have few colours.

```
birds/1.jpg    outlines/1.png            birds/1.png    birds/1_mask.png
cat/a.png      dog/b.png                 masks/a.png    masks/b.png
```
"""

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from petalflow.imaging import Rules, open_image
from petalflow.source.tree import Tree

_WORDS = (
    "masks?|segs?|segmented|segmentations?|gt|groundtruth|labels?|annotations?|trimaps?|mattes?|outlines?|contours?"
)
# bird_mask.png, bird_mask_2.png, mask_bird.png: masks by the names of files.
_MARK = re.compile(rf"(?i)[ _.-](?:{_WORDS})(?:_?\d+)?\Z|\A(?:{_WORDS})[ _.-]")
# masks/bird.png, SegmentationClass/bird.png: masks by the names of folders.
_WORD = re.compile(rf"(?:^|[\W_\d]|(?<=[a-z])(?=[A-Z]))(?i:{_WORDS})(?:$|[\W_\d]|(?=[A-Z]))")
_FEWEST = 3
_SHARE = 0.9
_LOOKED_AT = 3
_NAMES_LOOKED_AT = 50
# Numbered files have the same names in every class; a folder of masks shares its names with few others.
_MOST_PARTNERS = 3
_SIDE_PX = 128
# A picture has few colours if as many colours are nearly all of it; lossy compression changes them a little.
_EXACT, _EXACT_SHARE = 32, 0.99
_NEAR, _NEAR_SHARE, _NEAR_LEVELS = 6, 0.9, 16
_SINGLE_CHANNEL = ("1", "L", "P")


_T = TypeVar("_T")
# Chooses the files of a name by their folders.
_Choice = Callable[[dict[str, str]], list[str]]


class _Look(NamedTuple):
    """What a picture looks like.

    Attributes:
        size: Width and height in pixels.
        is_single: True if the file has one channel.
        has_few: True if it has few colours.
    """

    size: tuple[int, int]
    is_single: bool
    has_few: bool


class _Folder(NamedTuple):
    """Files in a folder that may be masks, and files of the same names that may be their photos."""

    name: str
    masks: Sequence[str]
    photos: Sequence[str]


def find_masks(tree: Tree, names: Sequence[str]) -> str:
    """Returns what looks like masks among the images of a source; "" if nothing does.

    Args:
        tree: The source.
        names: The names of its files that are to be images.
    """
    look = functools.cache(lambda name: _look(tree.read(name)))

    def is_mask(mask: str, photo: str) -> bool:
        one, other = look(mask), look(photo)
        if one is None or other is None or not one.has_few:
            return False
        is_another_kind = _is_png(mask) and not _is_png(photo) and one.is_single
        differs = not other.has_few or is_another_kind or (one.is_single and not other.is_single)
        by_name = _has_word(mask) and not _has_word(photo)
        is_numbered = _stem(mask).isdecimal()
        return differs and (by_name or (one.size == other.size and (is_another_kind or not is_numbered)))

    if marked := _find_marked(names):
        some = _some(marked)
        if all((found := look(mask)) and found.has_few for mask, _ in some):
            return f"{marked[0][0]} looks like the mask of {marked[0][1]}"
    for folder in _find_folders(names):
        if all(is_mask(mask, photo) for mask, photo in _some([*zip(folder.masks, folder.photos, strict=True)])):
            where = folder.photos[0].rpartition("/")[0]
            return f"the files in {folder.name}, like {folder.masks[0]}, look like masks of those in {where}"
    return ""


def _find_marked(names: Sequence[str]) -> list[tuple[str, str]]:
    """Returns the masks and their photos in the same folders, if there are several."""
    stems = {name.rpartition(".")[0]: name for name in names}
    found = []
    for stem, name in stems.items():
        folder, slash, base = stem.rpartition("/")
        bare = _MARK.sub("", base)
        if bare != base and (photo := stems.get(f"{folder}{slash}{bare}")):
            found.append((name, photo))
    return sorted(found) if len(found) >= _FEWEST else []


def _find_folders(names: Sequence[str]) -> Iterator[_Folder]:
    """Yields folders in which nearly all files have the names of files elsewhere, each with one such file."""
    folders: dict[str, list[str]] = defaultdict(list)
    where: dict[str, dict[str, str]] = defaultdict(dict)  # stem -> folder -> file
    for name in names:
        folder = name.rpartition("/")[0]
        folders[folder].append(name)
        where[_stem(name)][folder] = name
    for folder, inside in folders.items():
        if len(inside) < _FEWEST:
            continue
        some = inside[:: max(1, len(inside) // _NAMES_LOOKED_AT)]
        partners = [{at: file for at, file in where[_stem(name)].items() if at != folder} for name in some]
        if not _WORD.search(folder) and any(len(at) > _MOST_PARTNERS for at in partners):
            continue
        for others in _partner_folders(folder, partners):
            pairs = [(name, min(found)) for name, at in zip(some, partners, strict=True) if (found := others(at))]
            if len(pairs) >= max(_FEWEST, _SHARE * len(some)):
                masks, photos = zip(*pairs, strict=True)
                yield _Folder(folder, masks, photos)


def _partner_folders(folder: str, partners: Sequence[dict[str, str]]) -> Iterator[_Choice]:
    """Yields functions that choose a name's files: those of one other folder, then those of all beside it."""

    def in_folder(other: str) -> _Choice:
        return lambda at: [at[other]] if other in at else []

    counts = Counter(at for one in partners for at in one)
    for other, count in counts.most_common(_MOST_PARTNERS):
        if count >= _SHARE * len(partners):
            yield in_folder(other)
    parent = folder.rpartition("/")[0]
    yield lambda at: [file for other, file in at.items() if other.rpartition("/")[0] == parent]


def _look(data: bytes) -> _Look | None:
    """Returns what a picture looks like; None if it cannot be decoded."""
    try:
        with open_image(data, Rules()) as image:
            size, is_single = image.size, image.mode in _SINGLE_CHANNEL
            shrunk = min(size[0], _SIDE_PX), min(size[1], _SIDE_PX)
            pixels = np.asarray(image.convert("RGB").resize(shrunk, Image.Resampling.NEAREST)).reshape(-1, 3)
    except Exception:  # whatever Pillow raises for files that are broken: convert says what is wrong with them
        return None
    return _Look(size, is_single, _has_few_colours(pixels.astype(np.int16)))


def _has_few_colours(pixels: NDArray[np.int16]) -> bool:
    """Returns True if few colours are nearly all of int16 [pixels, 3], exactly or within a few levels."""
    counts = np.sort(np.unique(pixels, axis=0, return_counts=True)[1])
    if counts[-_EXACT:].sum() >= _EXACT_SHARE * len(pixels):
        return True
    left = pixels
    for _ in range(_NEAR):
        colours, counts = np.unique(left, axis=0, return_counts=True)
        left = left[np.abs(left - colours[counts.argmax()]).max(axis=1) > _NEAR_LEVELS]
        if len(left) <= (1 - _NEAR_SHARE) * len(pixels):
            return True
    return False


def _some(names: Sequence[_T]) -> Sequence[_T]:
    return names[:: max(1, len(names) // _LOOKED_AT)][:_LOOKED_AT]


def _has_word(name: str) -> bool:
    folder, _, base = name.rpartition("/")
    return bool(_WORD.search(folder) or _MARK.search(base.rpartition(".")[0]))


def _is_png(name: str) -> bool:
    return name.lower().endswith(".png")


def _stem(name: str) -> str:
    """Returns a file's name without its ending, and without what marks it as a mask."""
    stem = name.rpartition("/")[2].rpartition(".")[0]
    return _MARK.sub("", stem) or stem
