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
from petalflow.source.options import PathLabel
from petalflow.storage import File

_WAITING_THREADS = 16  # for a remote source or a slow disk
_PROBED = 16  # files that are hashed first, to see whether reading has to wait
_MAX_BATCH = 64  # files of a thread's task
# The file is gone, or replaced by a folder, an unreadable file, a link to itself, or a pipe.
_GONE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO)
# Larger files are read in pieces, others with one request.
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
        """Returns all files at any depth, sorted by name, except hidden ones that cannot be read."""
        return storage.list_files(self.address, optional=is_hidden)

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
    probed = [tree.sha256(file) for file in files[:_PROBED]]
    waited = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - waited
    # Where reading does not wait, more threads than processors only slow each other down.
    threads = _WAITING_THREADS if 2 * waited > len(probed) else os.cpu_count() or 1
    rest = files[len(probed) :]
    # Many files per task: handing over a task takes longer than hashing a small file.
    batch = max(1, min(_MAX_BATCH, len(rest) // (4 * threads)))
    batches = (rest[start : start + batch] for start in range(0, len(rest), batch))
    with ThreadPoolExecutor(threads) as pool:
        return probed + [
            sha256 for done in pool.map(lambda files: [*map(tree.sha256, files)], batches) for sha256 in done
        ]


def read_as_listed(tree: Tree) -> Callable[[Item], bytes]:
    """Returns a reader of a tree's files, safe for threads, which fails if one has changed since it was listed."""

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


# Files and folders that systems leave behind: Windows, macOS, Synology, QNAP, Linux, Android.
_LEFT_BEHIND = (
    *("Thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$RECYCLE.BIN", "RECYCLER"),
    *("System Volume Information", "FOUND.000", "__MACOSX", "Icon\r", "Icon\uf00d", "Network Trash Folder"),
    *("Temporary Items", "@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "lost+found", "LOST.DIR"),
)
# Part of a path that begins with a dot, or is one of these. (One expression, since there may be a million names.)
_HIDDEN = re.compile(rf"(?i:(?:^|/)(?:\.|(?:{'|'.join(map(re.escape, _LEFT_BEHIND))})(?:/|\Z)))")


def is_hidden(name: str) -> bool:
    """Returns True if a file is hidden: a part of its path begins with a dot, or a system left it behind."""
    return _HIDDEN.search(name) is not None


def list_labelled(
    tree: Tree, files: Sequence[File], kind: str, read_label: Callable[[str], PathLabel | None]
) -> Listing:
    """Returns the listing of a tree, hashing every file whose path holds its class.

    Args:
        tree: The tree.
        files: All its files.
        kind: What the source is, for users.
        read_label: The name of a file that is not hidden -> its class, or None.

    Raises:
        UsageError: If a name is not UTF-8.
    """
    labels = {file.name: None if is_hidden(file.name) else read_label(file.name) for file in files}
    labelled = [file for file in files if labels[file.name] is not None]
    for file in labelled:
        _check_name(file.name)
    items = tuple(
        Item(file.name, (one.label,), sha256, file.size_bytes, one.split, one.group)
        for file, sha256 in zip(labelled, hashes(tree, labelled), strict=True)
        if (one := labels[file.name]) is not None
    )
    return Listing(kind, items, tuple(name for name, one in labels.items() if one is None))


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the name of {name!r} is not UTF-8; rename the file") from None
