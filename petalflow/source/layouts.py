"""What the folders of a source are: classes, or splits that hold the classes.

What is clear is read. What is not is refused in a line that says how it can be read, and by which setting.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from petalflow.errors import UsageError
from petalflow.source.folder_names import alike, is_contents, split_of
from petalflow.source.options import CLASSES, LABEL_PATTERN, LAYOUT, SPLITS, PathLabel
from petalflow.source.outline import Top, find_table, only_folder, read_outline
from petalflow.source.unread import find_unread_form
from petalflow.splits import SPLIT_NAMES, TRAIN

_MOST_NAMED = 3


@dataclass(frozen=True)
class Layout:
    """Which folders are classes.

    Attributes:
        splits: Top folder -> the folder that holds its classes, with a slash at its end, and its split; empty if the
            top folders themselves are the classes.
    """

    splits: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def read_label(self, name: str) -> PathLabel | None:
        """Returns the class of a file, by its name below the source; None if it is not in a class folder."""
        top, slash, _ = name.partition("/")
        if not self.splits:
            return PathLabel(top) if slash else None
        inner, split = self.splits.get(top, ("", ""))
        if not split or not name.startswith(inner):
            return None
        label, slash, _ = name[len(inner) :].partition("/")
        return PathLabel(label, split) if slash else None

    def classes(self, names: Iterable[str]) -> list[str]:
        """Returns the classes of files, sorted."""
        return sorted({found.label for found in map(self.read_label, names) if found})


def read_layout(address: str, names: Sequence[str], chosen: str) -> Layout:
    """Returns the layout of a source.

    Args:
        address: What to call the source in messages.
        names: The names of its files that are not hidden, sorted.
        chosen: The setting: the top folders are "classes" or "splits", or "auto".

    Raises:
        UsageError: If the source has fewer than two classes, or can be read in two ways.
    """
    tops = read_outline(names)
    if not any(top.images for top in tops.values()) and (form := find_unread_form(names)):
        raise UsageError(f"source {address}: {form}")
    if chosen == CLASSES:
        layout = Layout()
    elif chosen == SPLITS:
        layout = _read_splits(names, {top: split for top in tops if (split := split_of(top))})
        if not layout.splits:
            raise UsageError(
                f"source {address}: no top folder is named like a split ({_some(tops)}); rename them to train, "
                f"validation and test, or remove {LAYOUT}"
            )
    else:
        layout = _choose(address, names, tops)
    classes = layout.classes(names)
    if len(classes) < 2:
        raise _too_few(address, names, tops, classes, has_splits=bool(layout.splits))
    return layout


def _choose(address: str, names: Sequence[str], tops: Mapping[str, Top]) -> Layout:
    parts, layout = alike(tops), None
    if tops and all(top.lower() in SPLIT_NAMES for top in tops):
        layout, above = _read_splits(names, {top: SPLIT_NAMES[top.lower()] for top in tops}), "{split}/"
    elif len(tops) > 1 and len(parts) == len(tops):
        layout, above = _find_clear_splits(names, tops), "*/"
    if layout:
        classes = _merged_outline(names, (inner for inner, _ in layout.splits.values()))
        problem = _find_unclear(names, classes, _Level(above, SPLITS)) if len(classes) > 1 else ""
    elif len(tops) > 1:
        layout = Layout()
        problem = _find_splits_beside_others(tops, parts) or _find_unclear(names, tops, _Level("", CLASSES))
    else:
        layout, problem = Layout(), ""
    if problem:
        raise UsageError(f"source {address}: {problem}")
    return layout


class _Level(NamedTuple):
    """Where folders are that are probably classes.

    Attributes:
        above: What stands for the folders above them in a pattern.
        layout: The layout by which they are classes.
    """

    above: str
    layout: str

    @property
    def if_one(self) -> str:
        """What to do about a folder that is probably no class."""
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


def _find_unclear(names: Sequence[str], folders: Mapping[str, Top], level: _Level) -> str:
    """Returns why folders may not be classes, and what to do; "" if they are."""
    return (
        _find_parts(folders, alike(folders), find_table(names), level)
        or _find_other_files(folders, level)
        or _find_copies(folders, level)
        or _find_same_folders(folders, level)
        or _find_deep_folders(folders, level)
    )


def _merged_outline(names: Sequence[str], folders: Iterable[str]) -> dict[str, Top]:
    """Returns the folders in several folders, those of one name as one."""
    merged: dict[str, Top] = {}
    for folder in folders:
        for name, top in read_outline(names, folder).items():
            merged.setdefault(name, Top(name)).add(top)
    return merged


def _read_splits(names: Sequence[str], splits: Mapping[str, str]) -> Layout:
    return Layout({top: (_inner_folder(names, f"{top}/", split), split) for top, split in splits.items()})


def _inner_folder(names: Sequence[str], folder: str, split: str) -> str:
    """Returns the folder that holds the classes of a split: train/, or train/train/ if there is one more around."""
    below = read_outline(names, folder)
    if len(below) == 1:
        (name, top), outer = next(iter(below.items())), folder.rstrip("/").rpartition("/")[2]
        if top.is_deep and (name.lower() == outer.lower() or split_of(name) == split):
            return _inner_folder(names, f"{folder}{name}/", split)
    return folder


def _find_clear_splits(names: Sequence[str], tops: Mapping[str, Top]) -> Layout | None:
    """Returns the layout if every top folder is named like a split, and they hold the same classes."""
    splits = {top: split for top in tops if (split := split_of(top))}
    if len(splits) < len(tops) or len({*splits.values()}) < 2 or TRAIN not in splits.values():
        return None
    layout = _read_splits(names, splits)
    classes = {top: _classes_of(names, inner) for top, (inner, _) in layout.splits.items()}
    trained = {name for top, split in splits.items() if split == TRAIN for name in classes[top]}
    known = [2 * len(found & trained) >= len(found) > 0 for found in classes.values()]
    return layout if len(trained) > 1 and all(known) else None


def _classes_of(names: Sequence[str], folder: str) -> set[str]:
    """Returns the folders in a folder, if nearly all its images are in them."""
    top = read_outline(f"x/{name[len(folder) :]}" for name in names if name.startswith(folder)).get("x")
    return set(top.filled) if top and top.is_deep else set()


def _find_splits_beside_others(tops: Mapping[str, Top], parts: Collection[str]) -> str:
    splits = [top for top in tops if tops[top].is_deep and (top.lower() in SPLIT_NAMES or top in parts)]
    splits = sorted(top for top in splits if split_of(top) and (top.lower() in SPLIT_NAMES or len(parts) > 1))
    others = sorted({*tops} - {*splits})
    if not splits or not others:
        return ""
    return (
        f"it has split folders ({_some(splits)}) beside others ({_some(others)}); set {LAYOUT}={SPLITS} to read only "
        f"the splits, or {LAYOUT}={CLASSES} if each of these folders is a class"
    )


def _find_parts(folders: Mapping[str, Top], parts: Sequence[str], table: str | None, level: _Level) -> str:
    if len(parts) < 2:
        return ""
    deep = [folders[part] for part in parts if folders[part].is_deep]
    if any(map(is_contents, parts)) or len(deep) < len(parts):
        by_table = f", give {table} as the source if it is a table of the labels" if table else ""
        other = f"set {LABEL_PATTERN} if file names like {_example(folders, parts)} contain the class{by_table}"
    else:
        other = level.if_below(deep)
    return f"its folders {_some(parts)} look like parts of a data set, not classes; {other}, or {level.if_each}"


def _find_other_files(folders: Mapping[str, Top], level: _Level) -> str:
    for name, folder in folders.items():
        if not folder.images and any(other.images for other in folders.values()):
            return f"its folder {name} contains no images, but files like {folder.example}; {level.if_one}"
    return ""


def _find_copies(folders: Mapping[str, Top], level: _Level) -> str:
    for name, folder in folders.items():
        if len(same := sorted({*folder.filled} & ({*folders} - {name}))) > 1:
            return f"its folder {name} contains folders named like those beside it ({_some(same)}); {level.if_one}"
    return ""


def _find_same_folders(folders: Mapping[str, Top], level: _Level) -> str:
    if not all(folder.is_deep for folder in folders.values()):
        return ""
    counts = Counter(name for folder in folders.values() for name in folder.filled)
    same = sorted(name for name, count in counts.items() if count > 1)
    if len(same) < 2 or 2 * sum(counts[name] for name in same) < counts.total():
        return ""
    return (
        f"its folders {_some(sorted(folders))} contain the same folders ({_some(same)}); "
        f"{level.if_below(folders.values())}, or {level.if_each}"
    )


def _find_deep_folders(folders: Mapping[str, Top], level: _Level) -> str:
    if any(folder.loose for folder in folders.values()):
        return ""
    deep = [folder for folder in folders.values() if len(folder.filled) > 1]
    if not deep:
        return ""
    return (
        f"all images in {_some(sorted(folders))} are in folders below them, like {deep[0].example}; "
        f"{level.if_below(folders.values())}, or {level.if_each}"
    )


def _too_few(
    address: str, names: Sequence[str], tops: Mapping[str, Top], classes: Sequence[str], *, has_splits: bool
) -> UsageError:
    remedy = "put the images of each class in a folder of its own"
    if classes:
        found = f"only {classes[0]} contains files"
        deeper = only_folder(names)
        if deeper and not has_splits:
            remedy = f"did you mean {address}/{deeper}?"
    elif has_splits and len(tops) > 1:
        example = _example(tops, tops)
        found = f"the files of {_some(sorted(tops))} are not in folders of their own, like {example}"
        by_table = (
            f", give {table} as the source if it is a table of the labels" if (table := find_table(names)) else ""
        )
        remedy = f"set {LABEL_PATTERN} if file names contain the class{by_table}, or {_Level('', CLASSES).if_each}"
    elif names:
        found = f"{len(names):,} files are not in class folders, like {names[0]}"
        remedy += f", or set {LABEL_PATTERN} if file names contain the class"
    else:
        found = "no class folders contain files"
    return UsageError(f"source {address} has fewer than two classes ({found}); {remedy}")


def _example(tops: Mapping[str, Top], of: Iterable[str]) -> str:
    return max((tops[name] for name in of), key=lambda top: (top.images, top.loose)).example


def _some(names: Collection[str]) -> str:
    shown = ", ".join([*names][:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED:,} more"
