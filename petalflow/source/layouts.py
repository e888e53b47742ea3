"""What the folders of a source are: classes, or splits that hold the classes.

What is clear is read. What is not is refused in a line that says how it can be read, and by which setting.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from petalflow.errors import UsageError
from petalflow.source.folder_names import alike, split_of
from petalflow.source.options import CLASSES, LABEL_PATTERN, LAYOUT, SPLITS, PathLabel
from petalflow.source.outline import Top, find_table, only_folder, read_outline
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
                f"source {address}: no top folder is named like a split ({some(tops)}); rename them to train, "
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
        problem = find_unclear(names, classes, Level(above, SPLITS)) if len(classes) > 1 else ""
    elif len(tops) > 1:
        layout = Layout()
        problem = _find_splits_beside_others(tops, parts) or find_unclear(names, tops, Level("", CLASSES))
    else:
        layout, problem = Layout(), ""
    if problem:
        raise UsageError(f"source {address}: {problem}")
    return layout


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
        f"it has split folders ({some(splits)}) beside others ({some(others)}); set {LAYOUT}={SPLITS} to read only "
        f"the splits, or {LAYOUT}={CLASSES} if each of these folders is a class"
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
        example = example_of(tops, tops)
        found = f"the files of {some(sorted(tops))} are not in folders of their own, like {example}"
        by_table = (
            f", give {table} as the source if it is a table of the labels" if (table := find_table(names)) else ""
        )
        remedy = f"set {LABEL_PATTERN} if file names contain the class{by_table}, or {Level('', CLASSES).if_each}"
    elif names:
        found = f"{len(names):,} files are not in class folders, like {names[0]}"
        remedy += f", or set {LABEL_PATTERN} if file names contain the class"
    else:
        found = "no class folders contain files"
    return UsageError(f"source {address} has fewer than two classes ({found}); {remedy}")
