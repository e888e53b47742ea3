"""The images in an archive: class folders, files whose names hold the class, or a manifest and its images.

A local zip or tar is read in place. A remote archive is copied, and a .tar.gz unpacked, to a temporary file, once per
process.
"""

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import manifests
from petalflow.source.archives.entries import read_tar_entries, read_zip_entries
from petalflow.source.archives.opened import TAR_GZ, ZIP, Archive, open_unpacked, read_format
from petalflow.source.file_names import list_by_names
from petalflow.source.listing import Item, Listing
from petalflow.source.options import AUTO, SourceOptions
from petalflow.source.tables import list_images, read_tables
from petalflow.source.tree import is_hidden, read_as_listed
from petalflow.splits import SPLIT_NAMES
from petalflow.storage import File

# Archives that a process keeps open, with their temporary files; it works on few sources.
_MAX_OPEN = 4
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_opening = threading.Lock()


class _Folder:
    """The files below one folder of an archive, by their names relative to it.

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
    """Returns True if a file is an archive, by how it begins.

    Raises:
        UsageError: If it is an archive of a format that we do not read.
    """
    return read_format(address) is not None


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
        """Raises UsageError if the archive is damaged; one that must be copied or unpacked first is not opened."""
        if storage.is_local(self.address) and read_format(self.address) != TAR_GZ:
            open_archive(self.address)

    def list(self) -> Listing:
        """Returns the listing of the archive, by names relative to the innermost folder that holds everything."""
        archive = open_archive(self.address)
        tree = self._inner(archive)
        try:
            listing = _list_tree(tree, self.options)
        except UsageError:
            _check_not_nested(archive)
            raise
        beside = (name for name in archive.names() if not name.startswith(tree.prefix))
        ignored = tuple(sorted((*listing.ignored, *beside)))
        return replace(listing, kind=f"{listing.kind} in an archive", ignored=ignored)

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the archive's files, which fails if one has changed since it was listed."""
        return read_as_listed(self._inner(open_archive(self.address)))

    def _inner(self, archive: Archive) -> _Folder:
        # The options alone: the settings of convert, which include them, cannot be the key of a cache.
        return _inner(archive, SourceOptions.among(self.options.to_json()))


def open_archive(address: str) -> Archive:
    """Returns an archive, opened only once unless it is written again.

    Raises:
        UsageError: If it is damaged or empty, or holds something that is not allowed in it.
    """
    with _opening:  # otherwise every thread would copy or unpack it
        return _open(address, storage.version(address))


@functools.lru_cache(_MAX_OPEN)
def _open(address: str, version: str) -> Archive:
    format_ = read_format(address)
    if format_ is None:
        raise UsageError(f"{address} is not an archive; give a .zip, .tar or .tar.gz file")
    with contextlib.ExitStack() as on_failure:
        file = on_failure.enter_context(open_unpacked(address, format_))
        read_entries = read_zip_entries if format_ == ZIP else read_tar_entries
        entries = read_entries(address, file, os.fstat(file.fileno()).st_size)
        if not entries:
            raise UsageError(f"{address} contains no files; pack the images into it")
        on_failure.pop_all()
    return Archive(address, file, entries)


def _list_tree(tree: _Folder, options: SourceOptions) -> Listing:
    if options.label_pattern:
        return list_by_names(tree, options.label_pattern)
    if options.layout == AUTO and (listing := manifests.list_split_tables(tree, options)):
        return listing
    return list_images(
        tree,
        options,
        lambda name: manifests.list_tree(tree, name, options),
        lambda name: f"unpack it and give {name} as the source",
    )


@functools.lru_cache(_MAX_OPEN)
def _inner(archive: Archive, options: SourceOptions) -> _Folder:
    """Returns the files below the innermost folder that holds them all, if there is one: flower_photos/, say."""
    shown = [name for name in archive.names() if not is_hidden(name)]
    prefix = ""
    while not _has_table(tree := _Folder(archive, prefix), options):
        tops = {top for top, slash, _ in (name[len(prefix) :].partition("/") for name in shown) if slash}
        if len(tops) != 1 or min(tops).lower() in SPLIT_NAMES:
            break
        prefix += f"{min(tops)}/"
        shown = [name for name in shown if name.startswith(prefix)]
    return tree


def _has_table(tree: _Folder, options: SourceOptions) -> bool:
    return any(not table.why_not for table in read_tables(tree, [*tree.names()], options))


def _check_not_nested(archive: Archive) -> None:
    for name in archive.names():
        if name.lower().endswith(_ARCHIVES) and not is_hidden(name):
            raise UsageError(f"{archive.address} contains another archive, {name!r}; unpack it and give that one")
