"""A tree of files that a source is made of: a folder, on whatever storage, or what an archive holds."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from petalflow import storage
from petalflow.storage import File

_HASHING_THREADS = 16  # of which most wait, where the source is on an object store
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
    with ThreadPoolExecutor(_HASHING_THREADS) as pool:
        return list(pool.map(tree.sha256, files))
