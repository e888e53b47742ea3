"""The files that a manifest names, each hashed or with the reason why it cannot be read."""

import errno
import hashlib
import itertools
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Protocol

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.tree import Folder, Tree, hashes, is_hidden
from petalflow.storage import File

# The hash of a file's contents, and its size in bytes.
Content = tuple[str, int]

MISSING, NOT_A_FILE = "missing", "not_a_file"

_GONE = ""  # in place of a hash
# Errors for paths that no file can have.
_NO_SUCH_PATH = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_MAX_LISTED = 2_000_000


class NamedFiles(Protocol):
    """Files by the addresses that a manifest's rows have."""

    def contents(self, addresses: Sequence[str]) -> dict[str, Content | str]:
        """Returns the hash and size of each file, or the code of why it cannot be read."""

    def names(self) -> list[str]:
        """Returns the files that rows may mean if no file has their names: all below the manifest's folder."""


class FilesInTree:
    """Files of a tree with a manifest.

    Attributes:
        tree: The tree.
    """

    def __init__(self, tree: Tree, files: Mapping[str, File]) -> None:
        self.tree = tree
        self._files = files
        self._folders = {str(parent) for file in files for parent in PurePosixPath(file).parents}

    def contents(self, addresses: Sequence[str]) -> dict[str, Content | str]:
        """Returns the hash and size of each file, or the code of why it cannot be read."""
        why = {one: NOT_A_FILE if one in self._folders else MISSING for one in addresses}
        return _hashed(self.tree, {one: self._files.get(one, why[one]) for one in addresses}, {})

    def names(self) -> list[str]:
        """Returns all files that are not hidden."""
        return [name for name in self._files if not is_hidden(name)]


class FilesBeside:
    """Files that a manifest of its own names, wherever they are, as a tree.

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

    def names(self) -> list[str]:
        """Returns the files below the manifest's folder that are not hidden; none if they cannot be listed."""
        if storage.is_local(self.address):
            found = list(itertools.islice(_walk(str(storage.local_path(self.address))), _MAX_LISTED + 1))
            return found if len(found) <= _MAX_LISTED else []
        try:
            return [file.name for file in self.files() if not is_hidden(file.name)]
        except UsageError:
            return []

    def contents(self, addresses: Sequence[str]) -> dict[str, Content | str]:
        """Returns the hash and size of each file, or the code of why it cannot be read."""
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
            return MISSING
        except OSError as error:
            if error.errno not in _NO_SUCH_PATH:
                raise
            return MISSING
        return File(name, found.st_size) if stat.S_ISREG(found.st_mode) else NOT_A_FILE

    def read(self, name: str) -> bytes:
        """Returns a file's contents."""
        folder, base = self._split(name)
        return folder.read(base)

    def sha256(self, file: File) -> str:
        """Returns the hash of a file's contents, or "" if the file does not exist."""
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


def _walk(top: str) -> Iterator[str]:
    """Yields the files below a local folder that are not hidden; what cannot be listed is left out."""
    seen = set[tuple[int, int]]()
    for folder, below, names in os.walk(top, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above it
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        start = os.path.relpath(folder, top)
        below[:] = sorted(name for name in below if not is_hidden(name))
        for name in sorted(names):
            if not is_hidden(name):
                yield name if start == "." else posixpath.join(start, name)


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
        contents[file.name] = (sha256, sizes.get(file.name, file.size_bytes)) if sha256 != _GONE else MISSING
    return contents
