"""A tree of files that a source is made of: a folder, on any storage, or the contents of an archive."""

import errno
import hashlib
import os
import re
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.listing import Item, Listing, changed
from petalflow.source.options import Told
from petalflow.storage import File

_WAITING_THREADS = 16  # where the source is far away, or its disk slow
_TRIED = 16  # files that are hashed first, to see whether it is
_MOST_AT_ONCE = 64  # files of a thread's task
# What one meets where a file was: nothing, a folder, a closed door, a link to itself, a pipe.
_GONE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO)
# What is larger is read in pieces; what is not, with one request.
_CHUNK_BYTES = 16 << 20


class Tree(Protocol):
    """Files by name, with forward slashes; safe to read from many threads.

    Attributes:
        address: What to call it in messages.
    """

    address: str

    def files(self) -> list[File]:
        """Returns all files at any depth, sorted by name."""

    def read(self, name: str) -> bytes:
        """Returns a file's contents."""

    def sha256(self, file: File) -> str:
        """Returns the hash of a file's contents, without holding a large one in memory."""


class Folder:
    """A folder on any storage.

    Attributes:
        address: Its address.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def files(self) -> list[File]:
        """Returns all files at any depth, sorted by name."""
        return storage.list_files(self.address)

    def read(self, name: str) -> bytes:
        """Returns a file's contents."""
        return storage.read_bytes(storage.join(self.address, name))

    def sha256(self, file: File) -> str:
        """Returns the hash of a file's contents, without holding a large one in memory."""
        if file.size_bytes <= _CHUNK_BYTES:
            return hashlib.sha256(self.read(file.name)).hexdigest()
        digest = hashlib.sha256()
        with storage.open_file(storage.join(self.address, file.name)) as opened:
            while chunk := opened.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()


def hashes(tree: Tree, files: Sequence[File]) -> list[str]:
    """Returns the hashes of files' contents, in order."""
    waited = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    tried = [tree.sha256(file) for file in files[:_TRIED]]
    waited = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - waited
    # Where files need not be waited for, more threads than processors only get in each other's way.
    threads = _WAITING_THREADS if 2 * waited > len(tried) else os.cpu_count() or 1
    rest = files[len(tried) :]
    # Many files a task: handing over a task takes longer than hashing a small file.
    many = max(1, min(_MOST_AT_ONCE, len(rest) // (4 * threads)))
    parts = (rest[start : start + many] for start in range(0, len(rest), many))
    with ThreadPoolExecutor(threads) as pool:
        return tried + [sha256 for part in pool.map(lambda part: [*map(tree.sha256, part)], parts) for sha256 in part]


def read_as_listed(tree: Tree) -> Callable[[Item], bytes]:
    """Returns a reader of a tree's files, safe for threads, which fails if one is no longer as it was listed."""

    def read(item: Item) -> bytes:
        try:
            data = tree.read(item.address)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            raise changed(item) from None
        if hashlib.sha256(data).hexdigest() != item.sha256:
            raise changed(item)
        return data

    return read


# A part of a path that begins with a dot, or is one of these. (One expression, for a million names.)
_HIDDEN = re.compile(r"(?:^|/)(?:\.|(?:Thumbs\.db|__MACOSX)(?:/|\Z))")


def is_hidden(name: str) -> bool:
    """Tells whether a file is none that its owner would know of: what systems leave behind, or begins with a dot."""
    return _HIDDEN.search(name) is not None


def list_told(tree: Tree, files: Sequence[File], kind: str, tell: Callable[[str], Told | None]) -> Listing:
    """Returns the listing of a tree, hashing every file whose path tells its class.

    Args:
        tree: The files.
        files: All of them.
        kind: What the source is, for people.
        tell: The name of a file that is not hidden -> what it tells, or None.

    Raises:
        UsageError: If a name is not UTF-8.
    """
    told = {file.name: None if is_hidden(file.name) else tell(file.name) for file in files}
    wanted = [file for file in files if told[file.name] is not None]
    for file in wanted:
        _check_name(file.name)
    items = tuple(
        Item(file.name, (one.label,), sha256, file.size_bytes, one.split, one.group)
        for file, sha256 in zip(wanted, hashes(tree, wanted), strict=True)
        if (one := told[file.name]) is not None
    )
    return Listing(kind, items, tuple(name for name, one in told.items() if one is None))


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the name of {name!r} is not UTF-8; rename the file") from None
