"""What the folders of a source are: classes, or splits that hold the classes.

What is clear is read. What is not is refused in a line that says how it can be read, and by which setting.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from petalflow.errors import UsageError
from petalflow.source.folder_names import alike, split_of
from petalflow.source.options import CLASSES, LABEL_PATTERN, LAYOUT, SPLITS, PathLabel
from petalflow.source.outline import Top, find_table, may_be_image, only_folder, read_outline
from petalflow.source.split_folders import (
    SplitFolder,
    find_other_classes,
    learned_classes,
    read_split_folders,
    with_classes,
)
from petalflow.source.unclear import Level, example_of, find_unclear, some
from petalflow.source.unread import find_unread_form
from petalflow.splits import SPLIT_NAMES, TRAIN


@dataclass(frozen=True)
class Layout:
    """Which folders are classes.

    Attributes:
        splits: Top folder -> the folder that holds its classes, with a slash at its end, and its split; empty if the
            top folders themselves are the classes.
    """

    splits: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def read_label(self, name: str) -> PathLabel | None:
        """Returns the class of an image, by its name below the source; None if it has none, or is not an image."""
        if not may_be_image(name):
            return None
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


def read_layout(address: str, names: Sequence[str], chosen: str, *, is_packed: bool = False) -> Layout:
    """Returns the layout of a source.

    Args:
        address: What to call the source in messages.
        names: The names of its files that are not hidden, sorted.
        chosen: The setting: the top folders are "classes" or "splits", or "auto".
        is_packed: True if the source is an archive.

    Raises:
        UsageError: If the source has fewer than two classes, or can be read in two ways.
    """
    tops = read_outline(names)
    if not any(top.images for top in tops.values()) and (form := find_unread_form(names)):
        raise UsageError(f"source {address}: {form}")
    splits = {top: split for top in tops if (split := split_of(top))}
    tops_level = Level("", CLASSES, find_table(names), "unpack it and give" if is_packed else "give")
    if chosen == CLASSES:
        layout = Layout()
    elif chosen == SPLITS:
        layout = _layout_of(read_split_folders(names, splits))
        if not splits:
            raise UsageError(
                f"source {address}: no top folder is named like a split ({some(tops)}); rename them to train, "
                f"validation and test, or remove {LAYOUT}"
            )
    else:
        layout, problem = _choose(names, tops, splits, tops_level)
        if problem:
            raise UsageError(f"source {address}: {problem}")
    classes = layout.classes(names)
    if len(classes) < 2:
        raise _too_few(address, names, tops, classes, layout, tops_level)
    return layout


def _choose(
    names: Sequence[str], tops: Mapping[str, Top], splits: Mapping[str, str], tops_level: Level
) -> tuple[Layout, str]:
    """Returns the layout that is clear, or why none is."""
    parts = alike(tops)
    are_splits = bool(tops) and all(top.lower() in SPLIT_NAMES for top in tops)
    folders = read_split_folders(names, splits)
    if are_splits or (len(splits) == len(parts) == len(tops) and {TRAIN} < {*splits.values()}):
        layout, problem = _layout_of(folders), _find_unlike(folders, tops)
        classes = _merged_outline(names, (inner for inner, _ in layout.splits.values()))
        if are_splits or (classes and not problem):
            level = _level_in(layout, tops, tops_level)
            return layout, problem or (find_unclear(classes, level) if len(classes) > 1 else "")
    if len(tops) < 2:
        return Layout(), ""
    beside = _find_splits_beside_others(tops, parts, folders)
    return Layout(), beside or find_unclear(tops, tops_level)


def _layout_of(folders: Sequence[SplitFolder]) -> Layout:
    return Layout({folder.name: (folder.inner, folder.split) for folder in with_classes(folders)})


def _find_unlike(folders: Sequence[SplitFolder], tops: Mapping[str, Top]) -> str:
    """Returns why splits may not hold the same classes, and what to do; "" if they do."""
    read = with_classes(folders)
    train = [folder.name for folder in folders if folder.split == TRAIN and tops[folder.name].images]
    if any(folder.folders for folder in read) and train and TRAIN not in {folder.split for folder in read}:
        return (
            f"its split {some(train)} has no class folders as {some([folder.name for folder in read])} has, but files "
            f"like {example_of(tops, train)}; put the images of each class in a folder of its own, or set "
            f"{LABEL_PATTERN} if file names contain the class"
        )
    if other := find_other_classes(read):
        learned, inside = learned_classes(read), {*other.folders}
        missing = f"; not in it: {some(sorted(learned - inside))}" if learned - inside else ""
        return (
            f"its splits contain different folders (only in {other.name}: {some(sorted(inside - learned))}{missing}); "
            f"name each class alike in all splits, move {other.name} out of the source if its folders are not classes, "
            f"or set {LAYOUT}={SPLITS} if each of them is a class"
        )
    return ""


def _merged_outline(names: Sequence[str], folders: Iterable[str]) -> dict[str, Top]:
    """Returns the folders in several folders, those of one name as one."""
    merged: dict[str, Top] = {}
    for folder in folders:
        for name, top in read_outline(names, folder).items():
            merged.setdefault(name, Top(name)).add(top)
    return merged


def _find_splits_beside_others(tops: Mapping[str, Top], parts: Collection[str], folders: Sequence[SplitFolder]) -> str:
    splits = [
        top for top in tops if split_of(top) and (top.lower() in SPLIT_NAMES or (top in parts and len(parts) > 1))
    ]
    others = sorted({*tops} - {*splits})
    if not others or not any(tops[top].is_deep for top in splits):
        return ""
    also = [top for top in others if split_of(top)]
    if len({name for folder in with_classes(folders) for name in folder.folders}) < 2:
        remedy = "move the others into them, or out of the source"
    else:
        remedy = f"set {LAYOUT}={SPLITS} to read {f'the splits, {some(also)} too' if also else 'only the splits'}"
    return (
        f"it has split folders ({some(sorted(splits))}) beside others ({some(others)}); {remedy}, or set "
        f"{LAYOUT}={CLASSES} if each of these folders is a class"
    )


def _too_few(
    address: str, names: Sequence[str], tops: Mapping[str, Top], classes: Sequence[str], layout: Layout, level: Level
) -> UsageError:
    remedy = "put the images of each class in a folder of its own"
    if classes:
        found = f"only {classes[0]} contains images"
        if not layout.splits and (deeper := only_folder(names)):
            remedy = f"did you mean {address}/{deeper}?"
        elif pattern := _pattern_below(names, tops, classes[0], layout, level):
            remedy = f"set {pattern} if the folders in it are the classes"
    elif layout.splits and len(tops) > 1:
        found = f"the files of {some(sorted(tops))} are not in folders of their own, like {example_of(tops, tops)}"
        remedy = f"set {LABEL_PATTERN} if file names contain the class{level.by_table}, or {level.if_each}"
    elif names:
        found = f"{len(names):,} files are not in class folders, like {names[0]}"
        remedy += f", or set {LABEL_PATTERN} if file names contain the class"
    else:
        found = "no class folders contain files"
    return UsageError(f"source {address} has fewer than two classes ({found}); {remedy}")


def _pattern_below(names: Sequence[str], tops: Mapping[str, Top], only: str, layout: Layout, level: Level) -> str:
    """Returns the setting by which the folders in the only folder of splits are the classes; "" if it has no two."""
    folder = _merged_outline(names, (inner for inner, _ in layout.splits.values())).get(only)
    if not folder or len(folder.filled) < 2:
        return ""
    return _level_in(layout, tops, level).by_pattern(folder.deeper, "*", "{label}")


def _level_in(layout: Layout, tops: Mapping[str, Top], level: Level) -> Level:
    """Returns the level of the folders in splits."""
    depth = max(inner.count("/") for inner, _ in layout.splits.values())
    first = "{split}/" if all(top.lower() in SPLIT_NAMES for top in tops) else "*/"
    return level._replace(above=first + "*/" * (depth - 1), layout=SPLITS)
