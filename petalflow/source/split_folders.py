"""Folders that are splits: which folder in each holds the classes, and whether the splits hold the same classes.

```
train/cat/  train/dog/  test/cat/             the same classes
train/cat/  train/dog/  test/1.jpg            no classes in test: photos without labels
train/cat/  train/dog/  test/a/  test/b/      other classes
```
"""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from petalflow.source.folder_names import says_nothing, split_of
from petalflow.source.outline import Top, read_outline, with_images
from petalflow.splits import TRAIN


class SplitFolder(NamedTuple):
    """A folder that is a split.

    Attributes:
        name: Its name.
        split: Its split.
        inner: The folder that holds its classes, with a slash at its end: train/, or train/train/ if there is one more
            around them.
        folders: The folders in that one which hold images.
    """

    name: str
    split: str
    inner: str
    folders: Mapping[str, Top]

    @property
    def is_vague(self) -> bool:
        """True if no name of a folder in it could be a class."""
        return all(_is_vague(name, self.inner) for name in self.folders)


def read_split_folders(names: Sequence[str], splits: Mapping[str, str]) -> list[SplitFolder]:
    """Returns the folders that are splits.

    Args:
        names: The names of all files of the source, sorted.
        splits: Top folder -> its split.
    """
    branches = {top: _find_branch(names, f"{top}/") for top in splits}
    found = []
    for top, split in splits.items():
        known = {name for other in splits if other != top for name in branches[other]}
        inner = _find_inner(names, f"{top}/", split, known)
        found.append(SplitFolder(top, split, inner, with_images(read_outline(names, inner))))
    return found


def with_classes(splits: Sequence[SplitFolder]) -> list[SplitFolder]:
    """Returns the splits that hold class folders, all if none does.

    A folder like images/ or unknown/ is a class only if it is one in another split, or if all of them are like that.
    """
    known = {name for split in splits if not split.is_vague for name in split.folders}
    found = [split for split in splits if known & {*split.folders}] or [split for split in splits if split.folders]
    return found or [*splits]


def learned_classes(splits: Sequence[SplitFolder]) -> set[str]:
    """Returns the classes in train; if no split is train, those of the split with the most."""
    if not splits:
        return set()
    train = [split for split in splits if split.split == TRAIN] or [max(splits, key=lambda split: len(split.folders))]
    return {name for split in train for name in split.folders}


def find_other_classes(splits: Sequence[SplitFolder]) -> SplitFolder | None:
    """Returns a split of which most folders are named otherwise than those of train; None if they are alike.

    A class may be missing in a split, and a few may be in one only.
    """
    learned = {_spelled(name) for name in learned_classes(splits)}
    for split in splits:
        other = sum(_spelled(name) not in learned for name in split.folders)
        if other and 2 * other >= len(split.folders):
            return split
    return None


def _spelled(name: str) -> str:
    """Returns a name without what is refused as another spelling of the same name later."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def _find_branch(names: Sequence[str], folder: str) -> set[str]:
    """Returns the folders of a split that are probably classes: the first ones beside others, else those on the way."""
    passed = set()
    while len(below := with_images(read_outline(names, folder))) == 1:
        passed |= {name for name in below if not _is_vague(name, folder)}
        folder += f"{next(iter(below))}/"
    return {*below} or passed


def _find_inner(names: Sequence[str], folder: str, split: str, known: Collection[str]) -> str:
    """Returns the folder that holds the classes of a split.

    Args:
        names: The names of all files of the source, sorted.
        folder: Where to begin.
        split: The split.
        known: The folders in other splits, which are probably classes.
    """
    below = with_images(read_outline(names, folder))
    if len(below) == 1:
        name, top = next(iter(below.items()))
        is_around = _is_vague(name, folder) or (split_of(name) == split and not {*top.filled}.isdisjoint(known))
        if is_around and top.is_deep and name not in known:
            return _find_inner(names, f"{folder}{name}/", split, known)
    return folder


def _is_vague(name: str, folder: str) -> bool:
    return says_nothing(name, folder.rstrip("/").rpartition("/")[2])
