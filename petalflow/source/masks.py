"""Masks: pictures in which pixels stand for classes, made of photos. They are not photos of a class.

They are found by their names, which are those of the photos: bird.jpg and bird.png, or bird.jpg and bird_mask.png.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

from petalflow.source.tree import Tree

_MARK = re.compile(r"(?i)[ _.-](?:masks?|seg|segmentation|gt)(?:_?\d+)?\Z")
_FEWEST = 3
_SHARE = 0.9
_LOOKED_AT = 3
_PNG = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE_AT = 25  # of a PNG, behind its width, height and depth
_GREY, _PALETTE = 0, 3


def find_masks(tree: Tree, names: Sequence[str]) -> str:
    """Returns what looks like masks among the images of a source; "" if nothing does.

    Args:
        tree: The source.
        names: The names of its files that are to be images.
    """
    if marked := _find_marked(names):
        return f"{marked[0]} looks like the mask of {marked[1]}"
    folders: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folders[name.rpartition("/")[0]].append(name)
    photos = {folder: {_stem(name) for name in inside if not _is_png(name)} for folder, inside in folders.items()}
    for folder, inside in folders.items():
        if len(inside) < _FEWEST or not all(map(_is_png, inside)):
            continue
        stems = {_stem(name) for name in inside}
        for other, known in photos.items():
            if len(stems & known) >= _SHARE * len(stems) and all(_has_few_colours(tree, one) for one in _some(inside)):
                return f"the files in {folder}, like {inside[0]}, look like masks of those in {other}"
    return ""


def _find_marked(names: Sequence[str]) -> tuple[str, str] | None:
    """Returns a mask and its photo in the same folder, if there are several."""
    stems = {name.rpartition(".")[0]: name for name in names}
    found = [
        (name, stems[bare]) for stem, name in stems.items() if (bare := _MARK.sub("", stem)) != stem and bare in stems
    ]
    return min(found) if len(found) >= _FEWEST else None


def _has_few_colours(tree: Tree, name: str) -> bool:
    head = tree.read(name)[: _COLOUR_TYPE_AT + 1]
    return len(head) > _COLOUR_TYPE_AT and head.startswith(_PNG) and head[_COLOUR_TYPE_AT] in (_GREY, _PALETTE)


def _some(names: Sequence[str]) -> Sequence[str]:
    return names[:: max(1, len(names) // _LOOKED_AT)][:_LOOKED_AT]


def _is_png(name: str) -> bool:
    return name.lower().endswith(".png")


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]
