"""Signs that folders may not be classes, and what a user can do then."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from petalflow.source.folder_names import alike, is_contents, split_of
from petalflow.source.options import LABEL_PATTERN, LAYOUT
from petalflow.source.outline import Top, find_table

_MOST_NAMED = 3


class Level(NamedTuple):
    """Where folders are that are probably classes.

    Attributes:
        above: What stands for the folders above them in a pattern.
        layout: The layout by which they are classes.
    """

    above: str
    layout: str

    @property
    def if_one(self) -> str:
        """What to do about a folder that is probably not a class."""
        return f"move it out of the source, or set {LAYOUT}={self.layout} if it is a class, too"

    @property
    def if_each(self) -> str:
        """The setting by which all are classes."""
        return f"{LAYOUT}={self.layout} if each of them is a class"

    def if_below(self, folders: Iterable[Top]) -> str:
        """The setting by which the folders in them are classes, or splits."""
        if all(split_of(name) for folder in folders for name in folder.filled):
            pattern, what = f"{self.above}{{label}}/{{split}}/*", "folders in them are splits"
        else:
            pattern, what = f"{self.above}*/{{label}}/*", "folders in them are the classes"
        return f"set {LABEL_PATTERN}={pattern} if the {what}"


def find_unclear(names: Sequence[str], folders: Mapping[str, Top], level: Level) -> str:
    """Returns why folders may not be classes, and what to do; "" if they are.

    Args:
        names: The names of all files of the source, sorted.
        folders: The folders that are probably classes, by name.
        level: Where they are.
    """
    return (
        _find_parts(folders, alike(folders), find_table(names), level)
        or _find_other_files(folders, level)
        or _find_copies(folders, level)
        or _find_same_folders(folders, level)
        or _find_deep_folders(folders, level)
    )


def _find_parts(folders: Mapping[str, Top], parts: Sequence[str], table: str | None, level: Level) -> str:
    if len(parts) < 2:
        return ""
    deep = [folders[part] for part in parts if folders[part].is_deep]
    if any(map(is_contents, parts)) or len(deep) < len(parts):
        by_table = f", give {table} as the source if it is a table of the labels" if table else ""
        other = f"set {LABEL_PATTERN} if file names like {example_of(folders, parts)} contain the class{by_table}"
    else:
        other = level.if_below(deep)
    return f"its folders {some(parts)} look like parts of a data set, not classes; {other}, or {level.if_each}"


def _find_other_files(folders: Mapping[str, Top], level: Level) -> str:
    for name, folder in folders.items():
        if not folder.images and any(other.images for other in folders.values()):
            return f"its folder {name} contains no images, but files like {folder.example}; {level.if_one}"
    return ""


def _find_copies(folders: Mapping[str, Top], level: Level) -> str:
    for name, folder in folders.items():
        if len(same := sorted({*folder.filled} & ({*folders} - {name}))) > 1:
            return f"its folder {name} contains folders named like those beside it ({some(same)}); {level.if_one}"
    return ""


def _find_same_folders(folders: Mapping[str, Top], level: Level) -> str:
    if not all(folder.is_deep for folder in folders.values()):
        return ""
    counts = Counter(name for folder in folders.values() for name in folder.filled)
    same = sorted(name for name, count in counts.items() if count > 1)
    if len(same) < 2 or 2 * sum(counts[name] for name in same) < counts.total():
        return ""
    return (
        f"its folders {some(sorted(folders))} contain the same folders ({some(same)}); "
        f"{level.if_below(folders.values())}, or {level.if_each}"
    )


def _find_deep_folders(folders: Mapping[str, Top], level: Level) -> str:
    if any(folder.loose for folder in folders.values()):
        return ""
    deep = [folder for folder in folders.values() if len(folder.filled) > 1]
    if not deep:
        return ""
    return (
        f"all images in {some(sorted(folders))} are in folders below them, like {deep[0].example}; "
        f"{level.if_below(folders.values())}, or {level.if_each}"
    )


def example_of(tops: Mapping[str, Top], of: Iterable[str]) -> str:
    """Returns a file of the largest of some folders."""
    return max((tops[name] for name in of), key=lambda top: (top.images, top.loose)).example


def some(names: Collection[str]) -> str:
    """Returns names for a message: the first few, and how many more there are."""
    shown = ", ".join([*names][:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED:,} more"
