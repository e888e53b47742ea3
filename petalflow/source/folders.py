"""Class folders, and class folders below split folders.

```
source/                     source/
  daisy/a.jpg                 train/daisy/a.jpg
  daisy/deeper/b.jpg          test/daisy/b.jpg
  tulips/c.png                ...
```
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.folder_names import instead_of_classes
from petalflow.source.inner_folders import check_inner_folders
from petalflow.source.layouts import read_layout
from petalflow.source.listing import Item, Listing
from petalflow.source.masks import find_masks
from petalflow.source.options import AUTO, CLASSES, LAYOUT, SPLITS, PathLabel
from petalflow.source.outline import may_be_image, sketch
from petalflow.source.tree import Folder, Tree, is_hidden, list_labelled, read_as_listed
from petalflow.source.unclear import some
from petalflow.splits import SPLITS as SPLIT_ORDER
from petalflow.storage import File

# What a listing calls them.
CLASS_FOLDERS = "class folders"

log = logging.getLogger(__name__)

# A class has suspiciously few images if it has no more than one of these, and the usual class so many times as many.
_FEW = ((2, 4), (3, 20))


@dataclass(frozen=True)
class ClassFolders:
    """A folder of class folders.

    Attributes:
        address: The folder.
        layout: What its top folders are, as the setting says.
    """

    address: str
    layout: str

    def check(self) -> None:
        """Raises UsageError if there are not two class folders; looks at names only, and on a store at few of them."""
        if storage.is_local(self.address):
            names = [file.name for file in Folder(self.address).files() if not is_hidden(file.name)]
        else:
            names = sketch(self.address)
        read_layout(self.address, names, self.layout)

    def list(self) -> Listing:
        """Returns the listing of the folder."""
        return list_class_folders(Folder(self.address), self.layout)

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the folder's files, which fails if one has changed since it was listed."""
        return read_as_listed(Folder(self.address))


def list_class_folders(tree: Tree, layout: str) -> Listing:
    """Returns the listing; every file in a class folder is an item, unless its ending says that it is not an image.

    Args:
        tree: The folder.
        layout: What its top folders are, as the setting says.

    Raises:
        UsageError: If there are fewer than two classes, or if it is not clear which folders are classes.
    """
    files = tree.files()
    # Decided before all images are read, which may take long.
    return list_labelled(tree, files, CLASS_FOLDERS, read_class_folders(tree, files, layout))


def read_class_folders(tree: Tree, files: Sequence[File], layout: str) -> Callable[[str], PathLabel | None]:
    """Returns the function from the name of a file to its class; None if it is not in a class folder.

    Args:
        tree: The folder.
        files: All its files.
        layout: What its top folders are, as the setting says.

    Raises:
        UsageError: If there are fewer than two classes, or if it is not clear which folders are classes.
    """
    shown = [file.name for file in files if not is_hidden(file.name)]
    found = read_layout(tree.address, shown, layout, is_packed=not isinstance(tree, Folder))
    read = {name: one for name in shown if (one := found.read_label(name))}
    labels = {name: one.label for name, one in read.items()}
    if layout != CLASSES and (masks := find_masks(tree, [*labels])):
        raise UsageError(
            f"source {tree.address}: {masks}; move the masks out of the source, or set {LAYOUT}={CLASSES} if they are "
            "images of their class, too"
        )
    if layout == AUTO and (problem := check_inner_folders(read)):
        chosen = SPLITS if any(one.split for one in read.values()) else CLASSES
        raise UsageError(
            f"source {tree.address}: {problem}; move them out of the source, or set {LAYOUT}={chosen} to read them, too"
        )
    if what := instead_of_classes({*labels.values()}):
        log.warning(
            "the classes are named like %s (%s); put the images of each class in a folder of its own if "
            "these are not the classes",
            *(what, some(sorted({*labels.values()}))),
        )
    _warn_of_strays(labels.values())
    _warn_of_left_out([name for name in shown if name not in read and may_be_image(name)])
    _log_other_files([name for name in shown if "/" in name and not may_be_image(name)])
    _warn_of_other_splits({*read.values()})
    return found.read_label


def _warn_of_strays(labels: Iterable[str]) -> None:
    """Warns of classes that are so much smaller than the others that their folders may not be classes."""
    counts = Counter(labels)
    usual = median(counts.values() or [0])
    for name, count in sorted(counts.items()):
        if any(count <= few and times * count <= usual for few, times in _FEW):
            log.warning(
                "class %s has only %s, where most have about %d; move its folder out of the source if it is not a "
                "class",
                *(name, _count(count, "image"), usual),
            )


def _warn_of_left_out(names: Sequence[str]) -> None:
    """Warns of images that are in no class folder."""
    folders = Counter(name.rpartition("/")[0] or "the source itself" for name in names)
    if names:
        log.warning(
            "left out %s not in class folders (%s), like %s",
            _count(len(names), "image"),
            some([f"{count:,} in {folder}" for folder, count in folders.most_common()]),
            names[0],
        )


def _log_other_files(names: Sequence[str]) -> None:
    if names:
        endings = Counter(name.rpartition(".")[2].lower() for name in names)
        log.info(
            "ignored %s in folders, like %s: not images by their endings (%s)",
            *(_count(len(names), "file"), names[0], some([ending for ending, _ in endings.most_common()])),
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _warn_of_other_splits(found: Collection[PathLabel]) -> None:
    """Warns of classes that are in one split only; a class that is not in train cannot be learned."""
    splits: dict[str, list[str]] = defaultdict(list)
    for one in found:
        splits[one.label].append(one.split or "")
    if len({one.split for one in found}) < 2:
        return
    for split in SPLIT_ORDER:
        if only := sorted(label for label, held in splits.items() if held == [split]):
            log.warning("%d of %d classes are only in the split %s: %s", len(only), len(splits), split, some(only))
