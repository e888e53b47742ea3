"""A table of images and their attributes, as CSV or JSON Lines.

```
image,label,split,group,camera           {"image": "a.jpg", "label": "daisy", "split": "train", "group": "g1"}
photos/a.jpg,daisy,train,g1,north        {"image": "gs://b/c.jpg", "label": ["daisy", "rose"], "camera": "north"}
gs://b/c.jpg,daisy|rose,,,north
```

Paths are relative to the manifest. An image that it names but that cannot be read is a reject, not a failure: of a
million rows, some are always wrong.
"""

import errno
import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.listing import Item, Listing, Reject
from petalflow.source.manifests.rows import Resolver, Row, begins_like_rows, read_rows
from petalflow.source.options import SourceOptions
from petalflow.source.tree import Folder, Tree, hashes, read_as_listed
from petalflow.storage import File

# The hash of a file's contents, and its size in bytes.
Content = tuple[str, int]

_GONE = ""  # in place of a hash
_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
_HEAD_BYTES = 4096
_STORES = ("gs", "gcs", "s3")
_URI = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://(?P<bucket>[^/]*)/?(?P<name>.*)", re.DOTALL)

_MISSING, _NOT_A_FILE, _NO_LABEL = "missing", "not_a_file", "no_label"
_SENTENCES = {
    _MISSING: "the manifest names it, but there is no such file",
    _NOT_A_FILE: "the manifest names it, but it is a folder or a device, not a file",
    _NO_LABEL: "the manifest gives it no label",
}
# Errors for paths that no file can have.
_NO_SUCH_PATH = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


def recognises(address: str) -> bool:
    """Returns True if a file is a manifest, by its name or by how it begins."""
    if not storage.is_file(address):
        return False
    if address.lower().endswith(_ENDINGS):
        return True
    with storage.open_file(address) as file:
        return begins_like_rows(file.read(_HEAD_BYTES))


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
        _check_classes(self.address, (row.labels for row in _read(self.address)))

    def list(self) -> Listing:
        """Returns the listing; a row is an item, or a reject if its image is missing or has no label."""
        return _list(
            _read(self.address), self.address, _NamedFiles(_parent_folder(self.address)).contents, self.options
        )

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the manifest's images, which fails if one has changed since it was listed."""
        return read_as_listed(_NamedFiles(_parent_folder(self.address)))


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
    folders = {str(parent) for file in files for parent in PurePosixPath(file).parents}

    def contents(addresses: Sequence[str]) -> dict[str, Content | str]:
        found = {one: files.get(one) or (_NOT_A_FILE if one in folders else _MISSING) for one in addresses}
        return _hashed(tree, found, {})

    called = f"{tree.address}: {name}"
    rows = read_rows(tree.read(name), called, _resolver_in_tree(posixpath.dirname(name)))
    listing = _list(rows, called, contents, options)
    named = {name, *(item.address for item in listing.items), *(reject.address for reject in listing.rejects)}
    return replace(listing, ignored=tuple(file for file in files if file not in named))


class _NamedFiles:
    """The files that a manifest names, wherever they are, as a tree.

    Files on a store are not looked up before they are read: for a million files that would take as long as reading.

    Attributes:
        address: The manifest's folder.
        sizes: Sizes of the files that were read from a store, by name.
    """

    def __init__(self, folder: str) -> None:
        self.address = folder
        self.sizes: dict[str, int] = {}
        self._home = Folder(folder)

    def files(self) -> list[File]:
        """Returns all files of the manifest's folder."""
        return self._home.files()

    def contents(self, addresses: Sequence[str]) -> dict[str, Content | str]:
        """Returns the hash and size of each file, or why it cannot be read."""
        return _hashed(self, {address: self.find(address) for address in addresses}, self.sizes)

    def find(self, name: str) -> File | str:
        """Returns a file, of size 0 if it is on a store, where it is not looked up; or why it cannot be read."""
        folder, base = self._split(name)
        if not storage.is_local(folder.address):
            return File(name, 0)
        path = storage.join(folder.address, base).removeprefix("file://")
        try:
            found = os.stat(path)
        except ValueError:  # a NUL in the name
            return _MISSING
        except OSError as error:
            if error.errno not in _NO_SUCH_PATH:
                raise
            return _MISSING
        return File(name, found.st_size) if stat.S_ISREG(found.st_mode) else _NOT_A_FILE

    def read(self, name: str) -> bytes:
        """Returns a file's contents."""
        folder, base = self._split(name)
        return folder.read(base)

    def sha256(self, file: File) -> str:
        """Returns the hash of a file's contents, or `_GONE` if the file does not exist."""
        folder, base = self._split(file.name)
        try:
            if storage.is_local(folder.address):
                return folder.sha256(File(base, file.size_bytes))
            data = folder.read(base)
        except (FileNotFoundError, IsADirectoryError):  # from the stores' clients, for anything but an object
            return _GONE
        self.sizes[file.name] = len(data)
        return hashlib.sha256(data).hexdigest()

    def _split(self, name: str) -> tuple[Folder, str]:
        """Returns the folder that a file's name is relative to, and its name there."""
        if name.startswith("/") or "://" in name:
            folder, _, base = name.rpartition("/")
            return Folder(folder or "/"), base
        return self._home, name


def _hashed(tree: Tree, found: Mapping[str, File | str], sizes: Mapping[str, int]) -> dict[str, Content | str]:
    """Returns the hash and size of each file, or why it cannot be read.

    Args:
        tree: The tree that holds the files.
        found: The files by name, or why they cannot be read.
        sizes: Sizes that become known when files are hashed.
    """
    files = [file for file in found.values() if isinstance(file, File)]
    contents: dict[str, Content | str] = {name: why for name, why in found.items() if isinstance(why, str)}
    for file, sha256 in zip(files, hashes(tree, files), strict=True):
        contents[file.name] = (sha256, sizes.get(file.name, file.size_bytes)) if sha256 != _GONE else _MISSING
    return contents


def _list(
    unsorted: Iterable[Row],
    manifest: str,
    contents: Callable[[Sequence[str]], Mapping[str, Content | str]],
    options: SourceOptions,
) -> Listing:
    rows = sorted(unsorted)
    _check_classes(manifest, (row.labels for row in rows))
    found = contents(list(dict.fromkeys(row.address for row in rows if row.labels or options.multi_label)))
    items, rejects = list[Item](), list[Reject]()
    for row in rows:
        content = found[row.address] if row.labels or options.multi_label else _NO_LABEL
        if isinstance(content, str):
            rejects.append(Reject(row.address, "|".join(row.labels), content, _SENTENCES[content]))
        else:
            items.append(Item(row.address, row.labels, *content, row.split or None, row.group or None, row.slices))
    if rejects and len({label for item in items for label in item.labels}) < 2:
        first = f"{rejects[0].address}: {rejects[0].sentence}"
        lost = f"{len(rejects)} of {len(rows)} images cannot be read, which leaves fewer than two classes"
        raise UsageError(f"{manifest}: {lost}; {first}")
    multi_label = options.multi_label or any(len(row.labels) > 1 for row in rows)
    return Listing("a manifest", tuple(items), (), tuple(rejects), multi_label)


def _read(address: str) -> Iterator[Row]:
    """Yields the rows of a manifest in a file."""
    data = storage.read_bytes(address)
    return read_rows(
        data, address, _resolve_local if storage.is_local(address) else _resolver_on_store(address.partition("://")[0])
    )


def _check_classes(manifest: str, labels: Iterable[tuple[str, ...]]) -> None:
    rows, classes = 0, set[str]()
    for row_labels in labels:
        rows += 1
        classes.update(row_labels)
    if not rows:
        raise UsageError(f"{manifest} has no rows; add one per image below the column names")
    if len(classes) < 2:
        found = f"only {min(classes)!r}" if classes else "no row has a label"
        raise UsageError(f"{manifest} has fewer than two classes ({found} in {rows} rows); label two or more")


def _parent_folder(address: str) -> str:
    folder, slash, _ = address.rpartition("/")
    return folder or slash or "."


def _resolve_local(named: str) -> str:
    """Returns the address of an image that a local manifest names: any file of this machine or on a store."""
    if "://" not in named:
        return _plain(named)
    return _plain(named.removeprefix("file://")) if named.startswith("file:///") else _uri(named, _STORES)


def _resolver_on_store(scheme: str) -> Resolver:
    """Returns the function for a manifest on a store, which may name files below it, or on any store."""

    def resolve(named: str) -> str:
        return _uri(named, (*_STORES, scheme)) if "://" in named else _confined(named)

    return resolve


def _resolver_in_tree(folder: str) -> Resolver:
    """Returns the function for a manifest in this folder of a tree, which may name files below it."""

    def resolve(named: str) -> str:
        if "://" in named:
            raise UsageError(
                f"{named!r} is outside the archive; a manifest in an archive may name only files inside it"
            )
        return posixpath.join(folder, _confined(named))

    return resolve


def _plain(path: str) -> str:
    """Returns a path without redundant parts; its ".." stay, since a folder before them may be a link."""
    return str(PurePosixPath(path)) if "//" in path or "./" in path or path.endswith(("/", "/.")) else path


def _confined(path: str) -> str:
    plain = posixpath.normpath(path)
    if plain.startswith("/") or plain == ".." or plain.startswith("../"):
        raise UsageError(f"{path!r} is not below the manifest; here, a path may name only files below it")
    return plain


def _uri(uri: str, schemes: Iterable[str]) -> str:
    match = _URI.fullmatch(uri)
    if match is None or match["scheme"] not in schemes:
        known = ", ".join(f"{scheme}://" for scheme in dict.fromkeys(schemes))
        raise UsageError(f"{uri!r} is not an address that a manifest may name; use one that begins with {known}")
    if not match["bucket"] or not match["name"]:
        raise UsageError(f"{uri!r} does not name a file; write it like {match['scheme']}://bucket/folder/a.jpg")
    return uri
