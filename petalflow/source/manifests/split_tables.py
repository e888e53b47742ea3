"""Folders of images of one split each, with a table in each folder, as Hugging Face and Roboflow write them.

```
source/
  train/metadata.csv   train/0001.png   ...        file_name,label
  test/metadata.csv    test/0001.png    ...        0001.png,daisy
```
"""

import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.listing import Item, Listing
from petalflow.source.manifests.classes import check_classes
from petalflow.source.manifests.manifest import list_rows
from petalflow.source.manifests.named_files import FilesBeside, FilesInTree
from petalflow.source.manifests.paths import resolver_beside, resolver_in_tree
from petalflow.source.manifests.row import Resolver, Row
from petalflow.source.manifests.rows import read_rows
from petalflow.source.options import SourceOptions
from petalflow.source.tree import Folder, Tree, is_hidden, read_as_listed
from petalflow.splits import SPLIT_NAMES

_TABLES = ("metadata.csv", "metadata.jsonl", "_classes.csv")


def has_split_tables(address: str) -> bool:
    """Returns True if a folder has only folders of splits, each with a table directly in it and at most one folder."""
    return bool(_find_tables(address))


@dataclass(frozen=True)
class SplitTables:
    """A folder of split folders with tables. Rows are of the split of their folder, and name files relative to it.

    Attributes:
        address: The folder above the split folders.
        options: How to read it.
    """

    address: str
    options: SourceOptions

    def check(self) -> None:
        """Raises UsageError if a row is malformed, or there are not two classes; no image is looked at."""
        check_classes(self.address, (row.labels for row in self._rows(lambda _: None)))

    def list(self) -> Listing:
        """Returns the listing; a row is an item, or a reject if its image is missing or has no label."""
        listing = list_rows(self._rows, self.address, FilesBeside(self.address), self.options)
        return replace(listing, kind=_kind(listing))

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the images, which fails if one has changed since it was listed."""
        return read_as_listed(FilesBeside(self.address))

    def _rows(self, note: Callable[[str], None]) -> Sequence[Row]:
        tables = _find_tables(self.address)
        if not tables:
            raise UsageError(f"source {self.address} changed while it was read; run again when nothing writes to it")

        def resolver(folder: str) -> Resolver:
            resolve = resolver_beside(storage.join(self.address, folder, tables[folder]))

            def resolve_in_folder(named: str) -> str:
                address = resolve(named)
                return address if "://" in address else posixpath.join(folder, address)

            return resolve_in_folder

        return _read_all(Folder(self.address), tables, resolver, self.options, note)


def list_split_tables(tree: Tree, options: SourceOptions) -> Listing | None:
    """Returns the listing of an archive of split folders with tables; None if it is not of this form."""
    files = {file.name: file for file in tree.files()}
    tables = _find_tables_among(name for name in files if not is_hidden(name))
    if not tables:
        return None
    listing = list_rows(
        lambda note: _read_all(tree, tables, resolver_in_tree, options, note),
        tree.address,
        FilesInTree(tree, files),
        options,
    )
    return replace(listing, kind=_kind(listing))


def _kind(listing: Listing) -> str:
    return "tables in split folders" + listing.kind.removeprefix("a manifest")


def _read_all(
    tree: Tree,
    tables: Mapping[str, str],
    resolver: Callable[[str], Resolver],
    options: SourceOptions,
    note: Callable[[str], None],
) -> list[Row]:
    """Returns the rows of all tables, given the table of each folder and how names are read in it."""
    rows = [
        row for folder, name in tables.items() for row in _read(tree, folder, name, resolver(folder), options, note)
    ]
    # A table of columns of 0 and 1 has several labels per image, even if it is another one that shows it.
    is_complete = any(row.is_complete for row in rows)
    return [row._replace(is_complete=is_complete) for row in rows]


def _read(
    tree: Tree, folder: str, name: str, resolve: Resolver, options: SourceOptions, note: Callable[[str], None]
) -> Iterator[Row]:
    table, split = storage.join(tree.address, folder, name), SPLIT_NAMES[folder.lower()]
    for row in read_rows(tree.read(f"{folder}/{name}"), table, resolve, note, options):
        if row.split and row.split != split:
            raise UsageError(
                f"{table}: {row.address} is in {row.split} by its row and in {split} by its folder; remove the "
                "column, or move the image and its row"
            )
        yield row._replace(split=split)


def _find_tables_among(names: Iterable[str]) -> dict[str, str]:
    """Returns the name of the table in each folder, as `_find_tables` does, from the names of all files."""
    folders: dict[str, set[str]] = defaultdict(set)
    for name in names:
        folder, slash, rest = name.partition("/")
        if slash:
            folders[folder].add(rest)
    tables = {name for name in _TABLES if any(name in inside for inside in folders.values())}
    # One folder holds the images; several may be classes.
    is_flat = all(len({name.partition("/")[0] for name in inside if "/" in name}) < 2 for inside in folders.values())
    if len(tables) != 1 or not is_flat or not all(name.lower() in SPLIT_NAMES for name in folders):
        return {}
    return dict.fromkeys(folders, *tables) if all(tables <= inside for inside in folders.values()) else {}


def _find_tables(address: str) -> dict[str, str]:
    """Returns the name of the table in each folder, the same in all; empty if the folder is not of this form."""
    folders = [name for name in storage.list_folders(address) if not is_hidden(name)]
    if not folders or not all(name.lower() in SPLIT_NAMES for name in folders):
        return {}
    tables = [_only_table(storage.join(address, folder)) for folder in folders]
    return dict(zip(folders, tables, strict=True)) if len(set(tables)) == 1 and tables[0] else {}


def _only_table(folder: str) -> str:
    """Returns the name of the table in a folder with one folder at most, or "" if there is none, or more than one."""
    if sum(not is_hidden(name) for name in storage.list_folders(folder)) > 1:
        return ""
    found = [name for name in _TABLES if storage.is_file(storage.join(folder, name))]
    return found[0] if len(found) == 1 else ""
