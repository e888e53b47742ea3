"""An archive (.zip, .tar, .tar.gz) of class folders, of files whose names hold the class, or of a manifest's images.

It is read where it lies. A remote one is copied, and a .tar.gz unpacked, to a temporary file, once a process.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import class_folders, file_names
from petalflow.source.archives import tars, unpacking, zips
from petalflow.source.archives.entries import Archive
from petalflow.source.listing import Item, Listing
from petalflow.source.manifests import manifest
from petalflow.source.manifests.rows import begins_like_rows
from petalflow.source.named import is_hidden
from petalflow.source.options import SourceOptions
from petalflow.source.split_names import SPLIT_NAMES
from petalflow.source.tree import read_as_listed
from petalflow.storage import File

# Kept open in a process, with their temporary files: of the sources that it works on, which are few.
_KEPT = 4
_HEAD_BYTES = 4096
_TABLES = (".csv", ".jsonl")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_opening = threading.Lock()


class _Below:
    """What lies below one folder of an archive, by names relative to that.

    Attributes:
        address: The archive's address.
        prefix: The folder, with a slash at its end.
    """

    def __init__(self, archive: Archive, prefix: str) -> None:
        self.address, self.prefix = archive.address, prefix
        self._archive = archive

    def names(self) -> Iterable[str]:
        """Returns the names of all files, sorted."""
        start = len(self.prefix)
        return (name[start:] for name in self._archive.names() if name.startswith(self.prefix))

    def files(self) -> list[File]:
        """Returns all files at any depth, sorted by name."""
        below = (file for file in self._archive.files() if file.name.startswith(self.prefix))
        return [File(file.name.removeprefix(self.prefix), file.size_bytes) for file in below]

    def read(self, name: str) -> bytes:
        """Returns a file's contents."""
        return self._archive.read(self.prefix + name)

    def sha256(self, file: File) -> str:
        """Returns the hash of a file's contents, without holding a large one in memory."""
        return self._archive.sha256(File(self.prefix + file.name, file.size_bytes))


def recognises(address: str) -> bool:
    """Tells whether a file is an archive, by how it begins.

    Raises:
        UsageError: If it is one of a format that is not known here.
    """
    return unpacking.format_of(address) is not None


@dataclass(frozen=True)
class ArchivedImages:
    """The images in an archive.

    Attributes:
        address: The archive.
        options: How to read what it holds.
    """

    address: str
    options: SourceOptions

    def check(self) -> None:
        """Raises UsageError if the archive is broken; one that must be copied or unpacked first is not opened."""
        if storage.is_local(self.address) and unpacking.format_of(self.address) != unpacking.TAR_GZ:
            open_archive(self.address)

    def list(self) -> Listing:
        """Returns the listing of the archive, by names relative to the innermost folder that holds everything."""
        archive = open_archive(self.address)
        tree = _inner(archive)
        try:
            listing = _list_tree(tree, self.options)
        except UsageError:
            _check_holds_no_archive(archive)
            raise
        beside = (name for name in archive.names() if not name.startswith(tree.prefix))
        ignored = tuple(sorted((*listing.ignored, *beside)))
        return replace(listing, kind=f"{listing.kind} in an archive", ignored=ignored)

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the archive's files, which fails if one has changed since it was listed."""
        return read_as_listed(_inner(open_archive(self.address)))


def open_archive(address: str) -> Archive:
    """Returns an archive, opened once as long as nobody writes it anew.

    Raises:
        UsageError: If it is broken, or holds nothing or what may not be in it.
    """
    with _opening:  # or every thread would copy or unpack it for itself
        return _open(address, storage.version(address))


@functools.lru_cache(_KEPT)
def _open(address: str, version: str) -> Archive:
    format_ = unpacking.format_of(address)
    if format_ is None:
        raise UsageError(f"{address} is no archive; give a .zip, .tar or .tar.gz file")
    with contextlib.ExitStack() as on_failure:
        file = on_failure.enter_context(unpacking.open_unpacked(address, format_))
        read_entries = zips.read_entries if format_ == unpacking.ZIP else tars.read_entries
        entries = read_entries(address, file, unpacking.size_of(file))
        if not entries:
            raise UsageError(f"{address} holds no files; pack the images into it")
        on_failure.pop_all()
    return Archive(address, file, entries)


def _list_tree(tree: _Below, options: SourceOptions) -> Listing:
    if options.label_pattern:
        return file_names.list_tree(tree, options.label_pattern)
    if name := _manifest_in(tree):
        return manifest.list_tree(tree, name, options)
    return class_folders.list_tree(tree)


@functools.lru_cache(_KEPT)
def _inner(archive: Archive) -> _Below:
    """Returns what lies below the folder that all is in, where there is one: flower_photos/ of flower_photos.tgz."""
    shown = [name for name in archive.names() if not is_hidden(name)]
    prefix = ""
    while not _manifest_in(tree := _Below(archive, prefix)):
        tops = {top for top, slash, _ in (name[len(prefix) :].partition("/") for name in shown) if slash}
        if len(tops) != 1 or min(tops).lower() in SPLIT_NAMES:
            break
        prefix += f"{min(tops)}/"
        shown = [name for name in shown if name.startswith(prefix)]
    return tree


def _manifest_in(tree: _Below) -> str | None:
    """Returns the name of the manifest that lies at the top of a tree, by what is in it; None if there is none."""
    names = [name for name in tree.names() if name.lower().endswith(_TABLES) and "/" not in name]
    found = [name for name in names if not is_hidden(name) and begins_like_rows(tree.read(name)[:_HEAD_BYTES])]
    if len(found) > 1:
        raise UsageError(f"{tree.address} holds more than one manifest, {' and '.join(found)}; pack it anew with one")
    return found[0] if found else None


def _check_holds_no_archive(archive: Archive) -> None:
    for name in archive.names():
        if name.lower().endswith(_ARCHIVES) and not is_hidden(name):
            raise UsageError(f"{archive.address} holds another archive, {name!r}; unpack it and give that one")
