r"""Finds images that a manifest names in another way than their files are called.

```
in the manifest             the file              read
img\a b.jpg                 img/a b.jpg           with / for \
17                          train/17.png          with .png added, below the folder train
/home/ann/set/img/a.JPG     img/a.jpg             ignoring case, without the first 3 folders
7.jpg                       00007.jpg             with leading zeros, which spreadsheets drop
```

A reading holds for all names that are not found as they are written. It is taken only if it finds every one of them,
and if no other reading finds other files for nearly as many. Numbers are the same in many folders, and masks are called
like their photos. So a reading is not taken either if it leads to

- another folder than the names say, or to another ending, if nearly all names are found as they are written: a photo
  that was lost or moved out of the way was not forgotten in the manifest;
- a folder of another split, or of masks or thumbnails, that the names do not mention;
- a folder in place of another one, for numbers or with another ending.
"""

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from petalflow.source.manifests.doubts import find_doubt
from petalflow.source.manifests.spellings import IMAGE_ENDING, changed_spellings, to_key

_NUMBER = re.compile(r"(\A|/)0*(\d+(?:\.[a-z]+)?)\Z")  # a name that is a number
_ZEROS, _ZEROS_ADDED = "zeros", "zeros and an ending"
_MOST = 0.8  # of all names: nearly all
_SOME = 0.2
_SAMPLE = 10  # names by which folders are proposed
_MAX_FOLDERS = 8


class Reading(NamedTuple):
    """A way to read names.

    Attributes:
        how: Its description, which continues the word "read".
        files: The files of the names that it finds.
        doubt: Why these may be other images than the names mean, or "".
    """

    how: str
    files: dict[str, str]
    doubt: str = ""


class Search(NamedTuple):
    """What was found.

    Attributes:
        reading: The only reading that finds all names, or None.
        hint: Without such a reading: which one finds most, or which two contradict each other; or "".
    """

    reading: Reading | None
    hint: str


class _Way(NamedTuple):
    """A way to find a file, without the spelling, about which every way is lenient.

    Attributes:
        how: Its description, or "".
        moves: True if it looks in other folders than the names say.
        find: The key of a name -> its file, or None.
    """

    how: str
    moves: bool
    find: Callable[[str], str | None]


def search(
    missing: Sequence[str], taken: Collection[str], files: Sequence[str], splits: Mapping[str, str] = {}
) -> Search:
    """Looks for the files of names that are not found as they are written.

    Args:
        missing: The names, each once.
        taken: The files that the manifest names as they are called. They cannot be meant by another name.
        files: All files that may be meant, relative to what the names are relative to.
        splits: Name -> the split that it is in by other signs than its folders.
    """
    keys = {name: to_key(name) for name in missing}
    readings = list[Reading]()
    for way in _ways(list(keys.values()), files, taken):
        found = {name: file for name, key in keys.items() if (file := way.find(key)) is not None}
        times = Counter(found.values())
        found = {name: file for name, file in found.items() if times[file] == 1 and file not in taken}
        if found:
            lost = taken and (way.moves or (way.how and len(missing) <= (1 - _MOST) * (len(missing) + len(taken))))
            doubt = "the others are found as they are written" if lost else find_doubt(found, splits)
            readings.append(Reading(way.how, found, doubt))
    certain = [reading for reading in readings if not reading.doubt]
    whole = [reading for reading in certain if len(reading.files) == len(missing)]
    for other in certain:
        if whole and _contradicts(other, whole[0]):
            return Search(None, _contradiction(whole[0], other))
    if whole:
        return Search(_described(whole[0]), "")
    best = max(readings, key=lambda reading: (not reading.doubt, len(reading.files)), default=None)
    return Search(None, _hint(best, len(missing)) if best else "")


def _hint(best: Reading, count: int) -> str:
    name, file = next(iter(best.files.items()))
    found = f"{len(best.files)} of these {count} would be found {_described(best).how}, like {file!r} for {name!r}"
    return f"{found}{best.doubt and f', but {best.doubt}'}; correct these names in the table"


def _contradicts(other: Reading, whole: Reading) -> bool:
    """Returns True if a reading finds other files than one that finds all, and some of them may only be lost."""
    if other.files.items() <= whole.files.items():
        return False
    # Masks are PNGs. So if these are all there and some photos are, those may be the images.
    may_be_masks = all(map(_is_png, whole.files.values())) and not any(map(_is_png, other.files.values()))
    return len(other.files) >= (_SOME if may_be_masks else _MOST) * len(whole.files)


def _is_png(name: str) -> bool:
    return name.lower().endswith(".png")


def _contradiction(one: Reading, other: Reading) -> str:
    name = next(name for name, file in other.files.items() if one.files[name] != file)
    return (
        f"{name!r} may be {one.files[name]!r} ({_described(one).how}) or {other.files[name]!r} "
        f"({_described(other).how}); write the whole path"
    )


def _ways(keys: Sequence[str], files: Sequence[str], taken: Collection[str]) -> Iterator[_Way]:
    """Yields the ways to find files that are worth trying, the simplest first."""
    by_key, by_stem = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for file in files:
        by_key[key := to_key(file)].append(file)
        if (stem := IMAGE_ENDING.sub("", key)) != key:
            by_stem[stem].append(file)
    # Where images that are found have files of other endings beside them, those are not images of their own.
    if any(len(by_stem.get(IMAGE_ENDING.sub("", to_key(file)), ())) > 1 for file in taken):
        by_stem.clear()
    for how, index, form in (
        ("", by_key, None),
        ("added", by_stem, None),
        ("other", by_stem, _stem_of_image),
        (_ZEROS, _without_zeros(by_key), _strip_zeros),
        (_ZEROS_ADDED, _without_zeros(by_stem), _strip_zeros),
    ):
        yield from _ways_by_folder(how, keys, dict(index), form)


def _without_zeros(index: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Returns an index by numbers without leading zeros; empty if no file's number has any."""
    found = defaultdict[str, list[str]](list)
    for key, files in index.items():
        if _NUMBER.search(key):
            found[_strip_zeros(key)] += files
    return found if any(_strip_zeros(key) != key for key in index) else {}


def _strip_zeros(key: str) -> str:
    return _NUMBER.sub(r"\1\2", key)


def _stem_of_image(key: str) -> str:
    return IMAGE_ENDING.sub("", key) if IMAGE_ENDING.search(key) else "\0"  # which no file is called


def _ways_by_folder(
    how: str, keys: Sequence[str], index: dict[str, list[str]], form: Callable[[str], str] | None
) -> Iterator[_Way]:
    """Yields the ways to find files in other folders.

    Args:
        how: What to call the ways.
        keys: The keys of all names.
        index: Key or stem -> the files.
        form: The key of a name -> what it is in the index; None for itself.
    """
    form = form or str
    by_base = defaultdict[str, list[str]](list)
    for key in index:
        by_base[posixpath.basename(key)].append(key)

    def find(key: str) -> str | None:
        files = index.get(key, ())
        return files[0] if len(files) == 1 else None

    def find_anywhere(key: str) -> str | None:
        at = by_base.get(posixpath.basename(form(key)), ())
        return find(at[0]) if len(at) == 1 else None

    yield _Way(how, False, lambda key: find(form(key)))
    sample = list(map(form, keys[:: max(1, len(keys) // _SAMPLE)]))
    for folder in _folders_above(sample, by_base):
        yield _Way(how, True, lambda key, folder=folder: find(f"{folder}/{form(key)}"))  # type: ignore[misc]
    for depth in sorted({depth for key in sample for depth in _depths_below(key, index)}):
        yield _Way(how, True, lambda key, depth=depth: find("/".join(form(key).split("/")[depth:])))  # type: ignore[misc]
    yield _Way(how, True, find_anywhere)


def _folders_above(sample: Sequence[str], by_base: dict[str, list[str]]) -> list[str]:
    """Returns the folders below which most of these keys exist."""
    times = Counter[str]()
    for key in sample:
        for found in by_base.get(posixpath.basename(key), ()):
            if found.endswith(f"/{key}"):
                times[found.removesuffix(f"/{key}")] += 1
    return [folder for folder, _ in times.most_common(_MAX_FOLDERS)]


def _depths_below(key: str, index: dict[str, list[str]]) -> Iterator[int]:
    """Yields how many folders at the beginning of a key can be left out."""
    parts = key.split("/")
    return (depth for depth in range(1, len(parts)) if "/".join(parts[depth:]) in index)


def _described(reading: Reading) -> Reading:
    """Returns a reading with all in words that it changes: spelling, endings and folders."""
    pairs = reading.files.items()
    how = changed_spellings(reading.files)
    if reading.how in (_ZEROS, _ZEROS_ADDED):
        how.append("with leading zeros")
    if reading.how and reading.how != _ZEROS:
        of_files = sorted({posixpath.splitext(file)[1] for file in reading.files.values()})
        how.append(f"with {' or '.join(of_files)} {'as the ending' if reading.how == 'other' else 'added'}")
    folders = sorted({_describe_folder(name, file) for name, file in pairs} - {""})
    how += folders if len(folders) < 2 else ["from whatever folder has a file of that name"]
    return Reading(", ".join(how) or "without redundant parts of paths", reading.files)


def _describe_folder(name: str, file: str) -> str:
    named, found = (posixpath.dirname(to_key(one)) for one in (name, file))
    if named == found:
        return ""
    depth = len(found.split("/")) - (len(named.split("/")) if named else 0)
    if not named or found.endswith(f"/{named}"):
        return f"below the folder {'/'.join(file.split('/')[:depth])}"
    if not found or named.endswith(f"/{found}"):
        left_out = len(named.split("/")) - (len(found.split("/")) if found else 0)
        return f"without the first {left_out} folders" if left_out > 1 else "without the first folder"
    return f"in the folder {posixpath.dirname(file)}"
