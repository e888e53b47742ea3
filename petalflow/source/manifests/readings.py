r"""Finds images that a manifest names in another way than their files are called.

```
in the manifest             the file              read
img\a b.jpg                 img/a b.jpg           with / for \
17                          train/17.png          with .png added, below the folder train
/home/ann/set/img/a.JPG     img/a.jpg             ignoring case, without the first 3 folders
```

A reading holds for all names that are not found as they are written. It is taken only if it finds every one of them,
and if no other reading finds other files. Other folders than the names say are meant only if no name at all is found as
it is written: a photo that was moved out of the way was not forgotten in the manifest.
"""

import posixpath
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote

_ENDING = re.compile(r"\.(?:jpe?g|jfif|png|gif|bmp|webp|tiff?|heic|heif|avif)\Z", re.IGNORECASE)
_EDGE_BLANK = re.compile(r"(?:\A|[/\\])\s|\s(?:[/\\]|\Z)")
_SAMPLE = 10  # names by which folders are proposed
_MAX_FOLDERS = 8


class Reading(NamedTuple):
    """A way to read names.

    Attributes:
        how: Its description, which continues the word "read".
        files: The files of the names that it finds.
    """

    how: str
    files: dict[str, str]


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


def search(missing: Sequence[str], taken: Collection[str], files: Sequence[str]) -> Search:
    """Looks for the files of names that are not found as they are written.

    Args:
        missing: The names, each once.
        taken: The files that the manifest names as they are called. They cannot be meant by another name.
        files: All files that may be meant, relative to what the names are relative to.
    """
    keys = {name: _key(name) for name in missing}
    readings, whole = list[Reading](), list[Reading]()
    for way in _ways(list(keys.values()), files):
        found = {name: file for name, key in keys.items() if (file := way.find(key)) is not None}
        times = Counter(found.values())
        found = {name: file for name, file in found.items() if times[file] == 1 and file not in taken}
        if found:
            readings.append(Reading(way.how, found))
            if len(found) == len(missing) and not (way.moves and taken):
                whole.append(readings[-1])
    for other in whole[1:]:
        if other.files != whole[0].files:
            return Search(None, _contradiction(whole[0], other))
    if whole:
        return Search(_described(whole[0]), "")
    best = max(readings, key=lambda reading: len(reading.files), default=None)
    if best is None:
        return Search(None, "")
    name, file = next(iter(best.files.items()))
    found_of = f"{len(best.files)} of these {len(missing)} would be found"
    return Search(None, f"{found_of} {_described(best).how}, like {file!r} for {name!r}; correct the names")


def _contradiction(one: Reading, other: Reading) -> str:
    name = next(name for name in one.files if one.files[name] != other.files[name])
    return (
        f"{name!r} may be {one.files[name]!r} ({_described(one).how}) or {other.files[name]!r} "
        f"({_described(other).how}); write the whole path"
    )


def _key(name: str) -> str:
    """Returns a name without what spellings differ in."""
    plain = unquote(name).replace("\\", "/")
    plain = posixpath.normpath("/".join(part.strip() for part in plain.split("/"))).lstrip("/")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", plain).casefold())


def _ways(keys: Sequence[str], files: Sequence[str]) -> Iterator[_Way]:
    """Yields the ways to find files that are worth trying, the simplest first."""
    by_key, by_stem = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for file in files:
        by_key[key := _key(file)].append(file)
        if (stem := _ENDING.sub("", key)) != key:
            by_stem[stem].append(file)
    for how, index, form in (
        ("", by_key, None),
        ("added", by_stem, None),
        ("other", by_stem, _stem_of_image),
    ):
        yield from _ways_by_folder(how, keys, dict(index), form)


def _stem_of_image(key: str) -> str:
    return _ENDING.sub("", key) if _ENDING.search(key) else "\0"  # which no file is called


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
    how = [words for words, is_changed in _SPELLINGS if any(is_changed(name, file) for name, file in pairs)]
    if reading.how:
        of_files = sorted({posixpath.splitext(file)[1] for file in reading.files.values()})
        how.append(f"with {' or '.join(of_files)} {'added' if reading.how == 'added' else 'as the ending'}")
    folders = sorted({_describe_folder(name, file) for name, file in pairs} - {""})
    how += folders if len(folders) < 2 else ["from whatever folder has a file of that name"]
    return Reading(", ".join(how) or "in another spelling", reading.files)


def _describe_folder(name: str, file: str) -> str:
    named, found = (posixpath.dirname(_key(one)) for one in (name, file))
    if named == found:
        return ""
    depth = len(found.split("/")) - (len(named.split("/")) if named else 0)
    if not named or found.endswith(f"/{named}"):
        return f"below the folder {'/'.join(file.split('/')[:depth])}"
    if not found or named.endswith(f"/{found}"):
        left_out = len(named.split("/")) - (len(found.split("/")) if found else 0)
        return f"without the first {left_out} folders" if left_out > 1 else "without the first folder"
    return f"in the folder {posixpath.dirname(file)}"


def _is_case_changed(name: str, file: str) -> bool:
    # From the end, as far as both go: folders may be left out of either. Endings are compared only if both have one.
    plain, called = (unicodedata.normalize("NFC", unquote(one)).replace("\\", "/") for one in (name, file))
    if not (_ENDING.search(plain) and plain.lower().endswith(posixpath.splitext(called)[1].lower())):
        plain, called = _ENDING.sub("", plain), _ENDING.sub("", called)
    pairs = zip(reversed(plain.split("/")), reversed(called.split("/")), strict=False)
    return any(a.strip() != b.strip() and a.strip().casefold() == b.strip().casefold() for a, b in pairs)


_SPELLINGS: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
    ("with / for \\", lambda name, file: "\\" in name or "\\" in file),
    (
        "with %20 and the like decoded",
        lambda name, file: any("%" in one and unquote(one) != one for one in (name, file)),
    ),
    ("without blanks around names", lambda name, file: bool(_EDGE_BLANK.search(name) or _EDGE_BLANK.search(file))),
    (
        "with accents composed (NFC)",
        lambda name, file: unicodedata.is_normalized("NFC", name) != unicodedata.is_normalized("NFC", file),
    ),
    ("ignoring case", _is_case_changed),
)
