"""Folders of images: class folders, class folders below split folders, and files whose names hold the class.

```
source/                     source/                     source/
  daisy/a.jpg                 train/daisy/a.jpg           cat.0.jpg
  daisy/deeper/b.jpg          test/daisy/b.jpg            dog.0.jpg      by the pattern {label}.*
  tulips/c.png                ...                         ...
```
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.listing import Item, Listing
from petalflow.source.options import LABEL_PATTERN, LabelPattern, PathLabel
from petalflow.source.tree import Folder, Tree, is_hidden, list_labelled, read_as_listed
from petalflow.splits import SPLIT_NAMES


@dataclass(frozen=True)
class ClassFolders:
    """A folder of class folders.

    Attributes:
        address: The folder.
    """

    address: str

    def check(self) -> None:
        """Raises UsageError if there are not two class folders; looks at folder names only."""
        address = self.address
        tops = _folders(address)
        if not tops:
            raise UsageError(
                f"source {address} contains no class folders; put the images of each class in a folder of its own, or "
                f"set {LABEL_PATTERN} if file names contain the class"
            )
        used = _with_files(address, tops)
        if deep := {top for top in used if top.lower() in SPLIT_NAMES and not _holds_files(address, top, deep=False)}:
            holding = [top for top in used if _holds_files(address, top, deep=True)]
            _check_not_mixed(address, holding, deep.intersection(holding))
        filled = sorted({name for top in used for name in _used_folders(address, top)}) if _are_splits(used) else used
        if len(filled) < 2:
            raise _too_few(address, filled, _deeper(address, used))

    def list(self) -> Listing:
        """Returns the listing of the folder."""
        return list_class_folders(Folder(self.address))

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the folder's files, which fails if one has changed since it was listed."""
        return read_as_listed(Folder(self.address))


def list_class_folders(tree: Tree) -> Listing:
    """Returns the listing; every file in a class folder is an item, whatever its name.

    Raises:
        UsageError: If there are fewer than two classes.
    """
    files = tree.files()
    shown = [file.name for file in files if not is_hidden(file.name)]
    tops = {name.split("/")[0] for name in shown if "/" in name}
    _check_not_mixed(tree.address, tops, tops - {name.split("/")[0] for name in shown if name.count("/") == 1})
    read_label = _second_folder_label if _are_splits(tops) else _top_folder_label
    # Checked before any image is read, which may take long.
    classes = sorted({found.label for found in map(read_label, shown) if found})
    if len(classes) < 2:
        raise _too_few(tree.address, classes)
    return list_labelled(tree, files, "class folders", read_label)


def _top_folder_label(name: str) -> PathLabel | None:
    label, slash, _ = name.partition("/")
    return PathLabel(label) if slash else None


def _second_folder_label(name: str) -> PathLabel | None:
    split, _, below = name.partition("/")
    label, slash, _ = below.partition("/")
    return PathLabel(label, SPLIT_NAMES[split.lower()]) if slash else None


def _are_splits(folders: Iterable[str]) -> bool:
    """Returns True if folder names mean splits, which they do only if all are names of splits."""
    names = [name.lower() for name in folders]
    return bool(names) and all(name in SPLIT_NAMES for name in names)


def _check_not_mixed(address: str, tops: Collection[str], deep: Collection[str]) -> None:
    """Checks that split folders are not mixed with other folders, since the splits would become classes.

    Args:
        address: The source.
        tops: Its top folders.
        deep: The top folders without files of their own, only in folders below; a class named `test` has some.

    Raises:
        UsageError: If they are mixed.
    """
    splits = sorted(name for name in deep if name.lower() in SPLIT_NAMES)
    others = sorted({*tops} - {name for name in tops if name.lower() in SPLIT_NAMES})
    if splits and others:
        raise UsageError(
            f"source {address} has split folders ({', '.join(splits)}) beside others ({', '.join(others[:3])}); "
            "move the others out of it, or put the images of each class in a folder of their own"
        )


def _holds_files(address: str, top: str, *, deep: bool) -> bool:
    return any(not is_hidden(file.name) for file in storage.list_files(storage.join(address, top), deep=deep))


def _folders(address: str) -> list[str]:
    return [name for name in storage.list_folders(address) if not is_hidden(name)]


def _with_files(address: str, folders: list[str]) -> list[str]:
    return [name for name in folders if storage.has_files(storage.join(address, name))]


def _used_folders(address: str, top: str) -> list[str]:
    below = storage.join(address, top)
    return _with_files(below, _folders(below))


def _deeper(address: str, used: list[str]) -> str:
    """Returns the folder that was probably meant, if the class folders are one level further down; else ""."""
    if len(used) == 1 and not _are_splits(used) and len(_used_folders(address, used[0])) > 1:
        return storage.join(address, used[0])
    return ""


def _too_few(address: str, classes: list[str], deeper: str = "") -> UsageError:
    found = f"only {classes[0]} contains files" if classes else "no class folder contains files"
    remedy = f"did you mean {deeper}?" if deeper else "put the images of each class in a folder of its own"
    return UsageError(f"source {address} has fewer than two classes ({found}); {remedy}")


@dataclass(frozen=True)
class FileNames:
    """A folder of files whose names hold the class.

    Attributes:
        address: The folder.
        pattern: A `LabelPattern`, as text.
    """

    address: str
    pattern: str

    def check(self) -> None:
        """Raises UsageError if there are no files; their names are compared with the pattern when they are listed."""
        if not storage.has_files(self.address):
            raise UsageError(f"source {self.address} contains no files; put the images there, or correct the address")

    def list(self) -> Listing:
        """Returns the listing of the folder; every file whose name matches the pattern is an item."""
        return list_by_names(Folder(self.address), self.pattern)

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the folder's files, which fails if one has changed since it was listed."""
        return read_as_listed(Folder(self.address))


def list_by_names(tree: Tree, label_pattern: str) -> Listing:
    """Returns the listing of a tree's files by a pattern.

    Raises:
        UsageError: If no name matches it, or all are of one class.
    """
    pattern, files = LabelPattern(label_pattern), tree.files()
    listing = list_labelled(tree, files, "file names", pattern.match)
    if len(listing.classes) < 2:
        example = next((file.name for file in files if not is_hidden(file.name)), None)
        if example is None:
            found = "there are no files"
        elif listing.items:
            found = f"only {listing.classes[0]}"
        else:
            found = f"no file name matches it; one is {example!r}"
        raise UsageError(
            f"source {tree.address} has fewer than two classes by {LABEL_PATTERN}={pattern.text} ({found}); "
            "correct the pattern"
        )
    return listing
