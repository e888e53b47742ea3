"""A table of images and their attributes, as CSV or JSON Lines.

```
image,label,split,group,camera           {"image": "a.jpg", "label": "daisy", "split": "train", "group": "g1"}
photos/a.jpg,daisy,train,g1,north        {"image": "gs://b/c.jpg", "label": ["daisy", "rose"], "camera": "north"}
gs://b/c.jpg,daisy|rose,,,north
```

Paths are relative to the manifest. An image that it names but that cannot be read is a reject, not a failure: of a
million rows, some are always wrong.
"""

import logging
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.folder_names import split_of
from petalflow.source.listing import Item, Listing, Reject
from petalflow.source.manifests.boxes import merge_boxes
from petalflow.source.manifests.classes import check_classes
from petalflow.source.manifests.copies import check_one_row_per_image, merge_rows
from petalflow.source.manifests.doubtful_labels import warn_of_labels
from petalflow.source.manifests.named_files import MISSING, NOT_A_FILE, Content, FilesBeside, FilesInTree, NamedFiles
from petalflow.source.manifests.paths import resolver_beside, resolver_in_tree
from petalflow.source.manifests.readings import search
from petalflow.source.manifests.row import Row
from petalflow.source.manifests.rows import begins_like_rows, read_rows
from petalflow.source.manifests.split_columns import read_splits
from petalflow.source.options import SourceOptions
from petalflow.source.tree import Tree, read_as_listed
from petalflow.splits import SPLITS, TEST, TRAIN, VALIDATION

log = logging.getLogger(__name__)

_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
_HEAD_BYTES = 4096

_NO_LABEL = "no_label"
_SENTENCES = {
    MISSING: "the manifest names it, but there is no such file",
    NOT_A_FILE: "the manifest names it, but it is a folder or a device, not a file",
    _NO_LABEL: "the manifest gives it no label",
}


def recognises(address: str) -> bool:
    """Returns True if a file is a manifest, by its name or by how it begins."""
    if not storage.is_file(address):
        return False
    if is_table(address):
        return True
    with storage.open_file(address) as file:
        return begins_like_rows(file.read(_HEAD_BYTES))


def is_table(name: str) -> bool:
    """Returns True if a file is a table by its name."""
    return name.lower().endswith(_ENDINGS)


@dataclass(frozen=True)
class Manifest:
    """A manifest in a file of its own.

    Attributes:
        address: The file.
        options: How to read it.
    """

    address: str
    options: SourceOptions

    def check(self) -> None:
        """Raises UsageError if a row is malformed, or there are not two classes; no image is looked at."""
        check_classes(self.address, (row.labels for row in self._rows(lambda _: None)))

    def list(self) -> Listing:
        """Returns the listing; a row is an item, or a reject if its image is missing or has no label."""
        return list_rows(self._rows, self.address, FilesBeside(_parent_folder(self.address)), self.options)

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the manifest's images, which fails if one has changed since it was listed."""
        return read_as_listed(FilesBeside(_parent_folder(self.address)))

    def _rows(self, note: Callable[[str], None]) -> Iterator[Row]:
        return read_rows(
            storage.read_bytes(self.address), self.address, resolver_beside(self.address), note, self.options
        )


def list_tree(tree: Tree, name: str, options: SourceOptions) -> Listing:
    """Returns the listing of a manifest in a tree with its images, whose addresses are their names in the tree.

    Args:
        tree: The tree.
        name: The manifest's name in it.
        options: How to read it.

    Raises:
        UsageError: If a row is malformed or names a file that is not below the manifest, or if there are fewer than
            two classes.
    """
    files = {file.name: file for file in tree.files()}
    called = f"{tree.address}: {name}"

    def rows(note: Callable[[str], None]) -> Iterator[Row]:
        return read_rows(tree.read(name), called, resolver_in_tree(posixpath.dirname(name)), note, options)

    listing = list_rows(rows, called, FilesInTree(tree, files), options)
    named = {name, *(item.address for item in listing.items), *(reject.address for reject in listing.rejects)}
    return replace(listing, ignored=tuple(file for file in files if file not in named))


def list_rows(
    read: Callable[[Callable[[str], None]], Iterable[Row]], manifest: str, files: NamedFiles, options: SourceOptions
) -> Listing:
    """Returns the listing of the images that rows name.

    Args:
        read: Yields the rows; calls its argument with a sentence about what is read differently from how it is
            written.
        manifest: What to call the manifest in messages.
        files: The files that the rows name.
        options: How to read them.

    Raises:
        UsageError: If a row is malformed, or there are fewer than two classes.
    """
    notes: dict[str, None] = {}  # in order
    rows = sorted(read(lambda sentence: notes.setdefault(sentence)))
    for sentence in notes:
        log.info("%s: %s", manifest, sentence)
    check_classes(manifest, (row.labels for row in rows))
    warn_of_labels(rows, manifest)
    rows = read_splits(merge_boxes(rows, manifest, multi_label=options.multi_label), manifest)
    _log_unassigned(rows, manifest)
    if options.multi_label:
        rows = merge_rows(rows, manifest)
    else:
        check_one_row_per_image(rows, manifest)
    wanted = [row for row in rows if _may_be_item(row, options)]
    contents = files.contents(list(dict.fromkeys(row.address for row in wanted)))
    splits = {row.address: row.split for row in wanted if row.split}
    how, hint, called = _find_missing(contents, manifest, files, splits)
    if called:
        rows = sorted(row._replace(address=called.get(row.address, row.address)) for row in rows)
        contents |= files.contents(list(called.values()))
    items, rejects = list[Item](), list[Reject]()
    for row in rows:
        content = contents[row.address] if _may_be_item(row, options) else _NO_LABEL
        if isinstance(content, str):
            rejects.append(Reject(row.address, "|".join(row.labels), content, _SENTENCES[content]))
        else:
            items.append(Item(row.address, row.labels, *content, row.split or None, row.group or None, row.slices))
    if rejects and len({label for item in items for label in item.labels}) < 2:
        first = f"{rejects[0].address}: {rejects[0].sentence}"
        lost = f"{len(rejects)} of {len(rows)} images cannot be read, which leaves fewer than two classes"
        raise UsageError("; ".join(filter(None, (f"{manifest}: {lost}", first, hint))))
    multi_label = options.multi_label or any(len(row.labels) > 1 for row in rows)
    return Listing(f"a manifest{how}", tuple(items), (), tuple(rejects), multi_label)


def _log_unassigned(rows: Sequence[Row], manifest: str) -> None:
    """Logs what becomes of rows that name no split, if others do."""
    without, named = sum(not row.split for row in rows), {row.split for row in rows}
    if 0 < without < len(rows):
        where = [TRAIN, *(split for split in (VALIDATION, TEST) if split not in named)]
        where = list(SPLITS) if {*SPLITS} <= named else where
        how = f"come into {' or '.join(where)}, by hash" if len(where) > 1 else f"come into {TRAIN}"
        log.info("%s: %d of %d rows name no split and %s", manifest, without, len(rows), how)


def _may_be_item(row: Row, options: SourceOptions) -> bool:
    return bool(row.labels) or options.multi_label or row.is_complete


def _find_missing(
    contents: Mapping[str, Content | str], manifest: str, files: NamedFiles, splits: Mapping[str, str]
) -> tuple[str, str, Mapping[str, str]]:
    """Looks for images that are not found under their names.

    Returns:
        How names were read, for the listing's kind; what to say if that is not clear; the new addresses.
    """
    missing = [address for address, content in contents.items() if content == MISSING]
    if not missing:
        return "", "", {}
    taken = {address for address, content in contents.items() if content != MISSING}
    reading, hint = search(missing, taken, files.names(), _splits_of(missing, manifest, splits))
    if reading:
        log.warning(
            "%s: %d of %d images are not found under their names; all of them are found when names are read %s",
            *(manifest, len(missing), len(contents), reading.how),
        )
        return f" read {reading.how}", "", reading.files
    log.warning("%s: %d of %d images are missing%s", manifest, len(missing), len(contents), hint and f"; {hint}")
    return "", hint, {}


def find_files(rows: Iterable[Row], files: Sequence[str], manifest: str) -> tuple[dict[str, str], str]:
    """Returns the files that rows name, as they would be read with the manifest as the source.

    Args:
        rows: The rows.
        files: All files that may be meant.
        manifest: The name of the manifest.

    Returns:
        Address -> file; and what to say of those that are not found, or "".
    """
    there = set(files)
    splits = {row.address: row.split for row in rows}
    found = {address: address for address in splits if address in there}
    missing = [address for address in splits if address not in there]
    reading, hint = search(missing, found, files, _splits_of(missing, manifest, {k: v for k, v in splits.items() if v}))
    return found | (reading.files if reading else {}), hint


def _splits_of(names: Iterable[str], manifest: str, splits: Mapping[str, str]) -> dict[str, str]:
    """Returns the split of each name, by its row or else by the name of the manifest: train.csv."""
    named = split_of(posixpath.splitext(posixpath.basename(manifest))[0])
    found = ((name, splits.get(name, named)) for name in names)
    return {name: split for name, split in found if split}


def _parent_folder(address: str) -> str:
    folder, slash, _ = address.rpartition("/")
    return folder or slash or "."
