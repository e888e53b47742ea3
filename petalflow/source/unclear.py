"""Signs that folders may not be classes, and what a user can do then."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from petalflow.source.folder_names import (
    alike,
    copied,
    has_word_of,
    is_contents,
    is_heap,
    is_images,
    names_heap,
    says_nothing,
    split_of,
)
from petalflow.source.options import LABEL_PATTERN, LAYOUT
from petalflow.source.outline import Top
from petalflow.splits import SPLIT_NAMES, SPLITS

_MOST_NAMED = 3
# Endings of files with the boxes in an image.
_LABEL_FILES = ("txt", "xml", "json")


class Level(NamedTuple):
    """Where folders are that are probably classes.

    Attributes:
        above: What stands for the folders above them in a pattern.
        layout: The layout by which they are classes.
        table: The table that may hold the labels; None if there is none.
        give: What to do to read only a part of the source.
    """

    above: str
    layout: str
    table: str | None = None
    give: str = "give"

    @property
    def by_table(self) -> str:
        """What to do if a table holds the labels; "" if there is none."""
        return f", {self.give} {self.table} as the source if it is a table of the labels" if self.table else ""

    @property
    def if_one(self) -> str:
        """What to do about a folder that is probably not a class."""
        return f"move it out of the source, or set {LAYOUT}={self.layout} if it is a class, too"

    @property
    def if_none(self) -> str:
        """What to do about a folder without images."""
        return f"move it out of the source, or set {LAYOUT}={self.layout} to ignore it"

    @property
    def if_each(self) -> str:
        """The setting by which all are classes."""
        return f"{LAYOUT}={self.layout} if each of them is a class"

    def by_pattern(self, like: str, *known: str) -> str:
        """Returns the setting of a pattern that matches files as deep as one of them.

        Args:
            like: The file.
            known: What stands in the pattern for the first folders of this level.
        """
        files = like.count("/") + 1 - self.above.count("/") - len(known)
        return f"{LABEL_PATTERN}={self.above}{'/'.join((*known, *'*' * max(1, files)))}"


def find_unclear(folders: Mapping[str, Top], level: Level) -> str:
    """Returns why folders may not be classes, and what to do; "" if they are.

    Args:
        folders: The folders that are probably classes, by name.
        level: Where they are.
    """
    return (
        _find_parts(folders, alike(folders), level)
        or _find_copies(folders, level)
        or _find_named_copies(folders, level)
        or _find_wrapper(folders, level)
        or _find_other_files(folders, level)
        or _find_heaps(folders, level)
        or _find_splits(folders, level)
        or _find_deep_folders(folders, level)
    )


def _find_parts(folders: Mapping[str, Top], parts: Sequence[str], level: Level) -> str:
    if len(parts) < 2:
        return ""
    if boxes := _find_label_files([folders[part] for part in parts]):
        return (
            f"its images have label files, like {boxes}, as object detection uses them; they are not read: give a "
            f"table of the images and their classes, or set {LABEL_PATTERN} if file names contain the class"
        )
    deep = [folders[part] for part in parts if folders[part].is_deep]
    images = [top for top in deep if is_images(top.name) and _has_classes(top, level)]
    if images:
        other = _if_classes_in(images[0], level)
    elif len(deep) < len(parts) or (any(map(is_contents, parts)) and not _around_classes(deep)):
        like = example_of(folders, parts)
        other = f"set {LABEL_PATTERN} if file names like {like} contain the class{level.by_table}"
    else:
        other = _if_below(deep, level)
    return f"its folders {some(parts)} look like parts of a data set, not classes; {other}, or {level.if_each}"


def _find_label_files(parts: Sequence[Top]) -> str:
    """Returns an example of the files beside images that describe each of them; "" if there are none."""
    others = [part.example for part in parts if is_contents(part.name) and not part.images]
    found = [name for name in others if name.rpartition(".")[2].lower() in _LABEL_FILES]
    return found[0] if found and any(part.images and is_images(part.name) for part in parts) else ""


def _find_other_files(folders: Mapping[str, Top], level: Level) -> str:
    for name, folder in folders.items():
        if not folder.likely and any(other.likely for other in folders.values()):
            remedy = level.if_one if folder.images else level.if_none
            return f"its folder {name} contains no images, but files like {folder.example}; {remedy}"
    return ""


def _find_copies(folders: Mapping[str, Top], level: Level) -> str:
    for name, folder in folders.items():
        same = sorted({*folder.filled} & ({*folders} - {name}))
        if len(same) > 1 or (same and not folder.loose and {*folder.filled} <= {*folders}):
            return f"its folder {name} contains folders named like those beside it ({some(same)}); {level.if_one}"
    return ""


def _find_named_copies(folders: Mapping[str, Top], level: Level) -> str:
    by_name = {name.casefold(): name for name in folders}
    for name in folders:
        if original := by_name.get(copied(name).casefold()):
            return f"the name of its folder {name} says that it is a copy of {original}; {level.if_one}"
    return ""


def _find_wrapper(folders: Mapping[str, Top], level: Level) -> str:
    """Finds a folder around the classes by its name, or by the names of those beside it: imgs/cat, labels_old/1.png."""
    for name, folder in folders.items():
        others = sorted({*folders} - {name})
        is_around = says_nothing(name) or (all(map(names_heap, others)) and not names_heap(name))
        are_flat = all(is_heap(other) or not folders[other].filled for other in others)
        has_classes = _has_classes(folder, level) or _is_around_images(folder)
        if others and is_around and are_flat and has_classes and not folder.loose:
            each = f", or {level.if_each}" if any(folders[other].images for other in others) else ""
            return (
                f"its folder {name} contains folders ({some(folder.filled)}) and looks like one around the classes, "
                f"beside {some(others)}; "
                f"{_if_classes_in(folder, level)}{each}"
            )
    return ""


def _find_heaps(folders: Mapping[str, Top], level: Level) -> str:
    for name in folders:
        others = {*folders} - {name}
        if is_heap(name) and len(others) > 1 and not any(has_word_of(name, other) for other in others):
            return f"the name of its folder {name} says that its files are not of one class; {level.if_one}"
    return ""


def _find_splits(folders: Mapping[str, Top], level: Level) -> str:
    found = [folder for folder in folders.values() if _splits_in(folder)]
    if not any(len(_splits_in(folder)) > 1 for folder in found):
        return ""
    splits = sorted({name for folder in found for name in folder.filled})
    rest = sorted({*folders} - {folder.name for folder in found})
    move = f"move the images in {some(rest)} into such folders, too, and " if rest else ""
    return (
        f"its folders {some(sorted(folder.name for folder in found))} contain folders named like splits "
        f"({some(splits)}); {move}{_if_below(found, level)}, or {level.if_each}"
    )


def _find_deep_folders(folders: Mapping[str, Top], level: Level) -> str:
    deep = [folder for folder in folders.values() if len(folder.filled) > 1]
    same = _same_folders(folders)
    if same and (len(same) > 1 or any(map(str.isdecimal, same[0]))):
        what = f"its folders {some(sorted(folders))} contain the same folders ({some(same)})"
    elif deep and not any(folder.loose for folder in folders.values()):
        what = f"all images in {some(sorted(folders))} are in folders below them, like {deep[0].example}"
    else:
        return ""
    below = _if_below([*folders.values()], level, are_same=bool(same))
    return f"{what}; {below}{level.by_table}, or {LAYOUT}={level.layout} if the outer folders are the classes"


def _same_folders(folders: Mapping[str, Top]) -> list[str]:
    """Returns the names that most folders in the folders have in common with those in another one."""
    counts = Counter(name for folder in folders.values() for name in folder.filled)
    same = sorted(name for name, count in counts.items() if count > 1)
    is_deep = all(folder.is_deep for folder in folders.values())
    return same if is_deep and same and 2 * sum(counts[name] for name in same) >= counts.total() else []


def _if_below(folders: Sequence[Top], level: Level, *, are_same: bool = False) -> str:
    """Returns the settings by which folders in folders are the classes, or their splits, or belong to them."""
    names = sorted({name for folder in folders for name in folder.filled})
    like = max((folder.deeper for folder in folders), key=lambda name: name.count("/"))
    if all(name.lower() in SPLIT_NAMES for name in names) and "{split}" not in level.above:
        if _is_below_split(like, level):
            one = "" if level.above else f"{level.give} one of them as the source, like {folders[0].name}, or "
            return f"{one}set {level.by_pattern(like, '*', '{split}', '{label}')} to read all of them"
        return f"set {level.by_pattern(like, '{label}', '{split}')} if the folders in them are splits"
    if around := _around_classes(folders):
        pattern = level.by_pattern(like, "*", _escape(around), "{label}")
        return f"set {pattern} if the folders in {around} are the classes"
    if images := _images_in_each(folders):
        return f"set {level.by_pattern(like, '{label}', _escape(images))} if the images of each class are in {images}"
    found = [f"{level.by_pattern(like, '{label}', '{group}')} if the inner folders are groups, like patients"]
    if len(names) > 1:
        found.insert(
            len(found) - are_same, f"{level.by_pattern(like, '*', '{label}')} if the inner folders are the classes"
        )
    few = are_same and len(folders) <= len(SPLITS)
    rename = "rename the outer ones to train, validation and test if they are splits, or " if few else ""
    return f"{rename}set {', '.join(found)}"


def _around_classes(folders: Sequence[Top]) -> str:
    """Returns the only folder in each of several folders, if its name says nothing and it holds folders; else ""."""
    found = {name for folder in folders for name in folder.filled}
    below = {name for folder in folders for name in folder.below}
    return min(found) if len(found) == 1 and len(below) > 1 and all(map(says_nothing, found)) else ""


def _images_in_each(folders: Sequence[Top]) -> str:
    """Returns the folder of images in several folders that also hold such as masks/; "" if there is none."""
    counts = Counter(name for folder in folders for name in folder.filled)
    found = [name for name, count in counts.items() if is_images(name) and count > 1]
    return min(found, default="") if all(map(says_nothing, counts)) else ""


def _if_classes_in(folder: Top, level: Level) -> str:
    """Returns the setting by which the folders in one folder are the classes, or those in its splits."""
    if _is_around_images(folder):
        inner = _escape(folder.filled[0])
        pattern = level.by_pattern(folder.deeper, _escape(folder.name), inner, "{label}")
        return f"set {pattern} if the folders in {folder.name}/{inner} are the classes"
    are_splits = all(name.lower() in SPLIT_NAMES for name in folder.filled)
    where = ("{split}", "{label}") if are_splits else ("{label}",)
    pattern = level.by_pattern(folder.deeper, _escape(folder.name), *where)
    return f"set {pattern} if the folders in {'its splits' if are_splits else folder.name} are the classes"


def _is_around_images(folder: Top) -> bool:
    """Returns True if a folder holds nothing but a folder of images with folders in it."""
    return len(folder.filled) == 1 and is_images(folder.filled[0]) and bool(_around_classes([folder]))


def _has_classes(folder: Top, level: Level) -> bool:
    """Returns True if a folder holds folders that may be the classes, or splits with such folders."""
    are_splits = any(map(split_of, folder.filled))
    return folder.is_deep and len(folder.filled) > 1 and (not are_splits or _is_below_split(folder.deeper, level))


def _is_below_split(name: str, level: Level) -> bool:
    """Returns True if a file is in a folder in a split in a folder of the level."""
    return name.count("/") > level.above.count("/") + 2


def _splits_in(folder: Top) -> set[str]:
    return {SPLIT_NAMES[name.lower()] for name in folder.filled if name.lower() in SPLIT_NAMES}


def _escape(name: str) -> str:
    return name.replace("{", "{{").replace("}", "}}")


def example_of(tops: Mapping[str, Top], of: Iterable[str]) -> str:
    """Returns a file of the largest of some folders."""
    return max((tops[name] for name in of), key=lambda top: (top.images, top.loose)).example


def some(names: Collection[str]) -> str:
    """Returns names for a message: the first few, and how many more there are."""
    shown = ", ".join([*names][:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED:,} more"
