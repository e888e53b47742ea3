"""Why a file that was found for a name may be another image than the one that is meant.

Images with numbers for names are in many folders, those of train and of test, and masks are called like their photos.
"""

import functools
import posixpath
import re
from collections.abc import Mapping

from petalflow.source.folder_names import split_of
from petalflow.source.manifests.spellings import IMAGE_ENDING, to_key

# Parts of paths: folders of masks and thumbnails, and their files beside photos.
_COMPANION = re.compile(
    r"(?i)(?:\A|/)(?:(?:train|training|val|valid|test|images?|imgs?|photos?)[ _-]?)?"
    r"(?:masks?|trimaps?|seg|segmentations?|segmentation(?:class|object)|annotations?|gt|ground[ _]?truths?"
    r"|thumbs?|thumbnails?|previews?)[ _-]?\d*/|[ _.-](?:masks?|seg|segmentation|gt|thumb|thumbnail)(?:\.\w+)?\Z"
)
_COUNTED = re.compile(r"(?:img|image|dsc[nf]?|photo|pic|picture|frame)?[ _-]*\d+")


def find_doubt(found: Mapping[str, str], splits: Mapping[str, str]) -> str:
    """Returns why files may be other images than those that are named, or "".

    Args:
        found: Name -> file.
        splits: Name -> the split that it is in by other signs than its folders.
    """
    for name, file in found.items():
        named = _splits_in(name) or {*filter(None, [splits.get(name)])}
        if named and (others := _splits_in(file)) and others.isdisjoint(named):
            return f"{file!r} is in {min(others)}, and {name!r} in {min(named)}"
        if _COMPANION.search(file) and not _COMPANION.search(name.replace("\\", "/")):
            return f"{file!r} looks like a mask or a thumbnail"
        key, found_key = to_key(name), to_key(file)
        if _is_other_folder(posixpath.dirname(key), posixpath.dirname(found_key)):
            base, found_base = map(posixpath.basename, (key, found_key))
            if base != found_base or _COUNTED.fullmatch(IMAGE_ENDING.sub("", base)):
                return "these may be other images"
    return ""


def _splits_in(name: str) -> frozenset[str]:
    """Returns the splits that the folders of a name have words for."""
    return _splits_of(name.replace("\\", "/").rpartition("/")[0])


@functools.lru_cache(4096)
def _splits_of(folders: str) -> frozenset[str]:
    return frozenset(filter(None, map(split_of, folders.split("/"))))


def _is_other_folder(named: str, found: str) -> bool:
    """Returns True if one folder takes the place of another, neither of them within the other."""
    return bool(named and found) and not (f"/{named}".endswith(f"/{found}") or f"/{found}".endswith(f"/{named}"))
