"""A folder a class, or class folders under split folders.

```
source/                     source/
  daisy/a.jpg                 train/daisy/a.jpg
  daisy/deeper/b.jpg          test/daisy/b.jpg
  tulips/c.png                ...
```
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.listing import Item, Listing, changed
from petalflow.source.options import SourceOptions
from petalflow.source.tree import Folder, hashes

# Folder names that mean a split, when all top folders are such names.
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def check(address: str, options: SourceOptions) -> None:
    """Raises UsageError if there are no two class folders; a look at folder names only."""
    tops = [name for name in storage.list_folders(address) if not _is_hidden(name)]
    if not tops:
        raise UsageError(
            f"source {address} holds no class folders; put the images of each class in a folder of its own"
        )
    folders = {name: [name] for name in tops}
    if _are_splits(tops):
        folders = {}
        for top in tops:
            for name in storage.list_folders(storage.join(address, top)):
                if not _is_hidden(name):
                    folders.setdefault(name, []).append(storage.join(top, name))
    filled = [name for name, at in folders.items() if any(storage.has_files(storage.join(address, one)) for one in at)]
    if len(filled) < 2:
        found = f"only {filled[0]} holds files" if filled else "there are no files in class folders"
        raise UsageError(
            f"source {address} has fewer than two classes ({found}); put each class in a folder of its own"
        )


def list_items(address: str, options: SourceOptions) -> Listing:
    """Returns the listing; every file in a class folder is an item, whatever its name says it is."""
    files = storage.list_files(address)
    splits = _are_splits([name for name in storage.list_folders(address) if not _is_hidden(name)])
    depth = 3 if splits else 2  # [split/] class / file
    wanted = [file for file in files if _depth(file) >= depth and not _is_hidden(file.name)]
    if not wanted:  # hidden files alone, or files beside the class folders
        raise UsageError(f"source {address} holds no files in its class folders; put the images of each class there")
    _check_names(file.name for file in wanted)
    found = hashes(Folder(address), wanted)
    items = tuple(_item(file, sha256, splits) for file, sha256 in zip(wanted, found, strict=True))
    taken = {file.name for file in wanted}
    return Listing("class folders", items, tuple(file.name for file in files if file.name not in taken))


def open_reader(address: str, options: SourceOptions) -> Callable[[Item], bytes]:
    """Returns a reader of the source's files, which fails if one is no longer as it was listed."""

    def read(item: Item) -> bytes:
        data = storage.read_bytes(storage.join(address, item.address))
        if hashlib.sha256(data).hexdigest() != item.sha256:
            raise changed(item)
        return data

    return read


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UsageError(f"the name of {name!r} is not UTF-8; rename the file") from None


def _item(file: storage.File, sha256: str, splits: bool) -> Item:
    parts = PurePosixPath(file.name).parts
    split, label = (_SPLIT_NAMES[parts[0].lower()], parts[1]) if splits else (None, parts[0])
    return Item(file.name, (label,), sha256, file.size_bytes, split)


def _are_splits(folders: list[str]) -> bool:
    return bool(folders) and all(name.lower() in _SPLIT_NAMES for name in folders)


def _depth(file: storage.File) -> int:
    return len(PurePosixPath(file.name).parts)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part in ("Thumbs.db", "__MACOSX") for part in PurePosixPath(name).parts)
