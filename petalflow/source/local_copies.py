"""Files of which many threads can read any part at any time, without holding them in memory.

A file of this machine is read in place. A remote or compressed one is copied once into a temporary file without a name,
which disappears with its last reader, even if the process is killed.
"""

import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.storage import File

_CHUNK_BYTES = 4 << 20


class RandomAccessFile(Protocol):
    """A file, any part of which can be read by many threads.

    Attributes:
        size_bytes: Its size.
    """

    @property
    def size_bytes(self) -> int:
        """The file's size."""

    def read(self, offset: int, size: int) -> bytes:
        """Returns `size` bytes from an offset; fewer if the file ends before."""


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine.

    Attributes:
        path: Its path.
        size_bytes: Its size.
    """

    path: Path
    size_bytes: int

    def read(self, offset: int, size: int) -> bytes:
        """Returns `size` bytes from an offset; fewer if the file ends before."""
        # Opened each time, which costs microseconds: a source may have more files than a process may hold open.
        with self.path.open("rb", buffering=0) as file:
            return _read_at(file, offset, min(size, self.size_bytes - offset))


@dataclass(frozen=True)
class CopiedFile:
    """A copy of a file, in a temporary file with others.

    Attributes:
        file: The temporary file.
        start: Where the copy begins in it.
        size_bytes: The copy's size.
    """

    file: IO[bytes]
    start: int
    size_bytes: int

    def read(self, offset: int, size: int) -> bytes:
        """Returns `size` bytes from an offset; fewer if the file ends before."""
        return _read_at(self.file, self.start + offset, min(size, self.size_bytes - offset))


# Not fsspec's simplecache, whose files have names and stay behind when a process is killed.
class Copies:
    """Copies of files in one temporary file; threads may add to it concurrently."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._end = 0

    def add(self, reader: IO[bytes], size_bytes: int, what: str) -> CopiedFile:
        """Copies a file.

        Args:
            reader: The open file.
            size_bytes: Its expected size; at most one byte more is read.
            what: What to call the file in messages.

        Raises:
            UsageError: If the disk of temporary files is full.
            ValueError: If the file is larger or smaller than expected.
        """
        file, start = self._reserve(size_bytes, what)
        written = 0
        while chunk := reader.read(min(_CHUNK_BYTES, size_bytes - written + 1)):
            if written + len(chunk) > size_bytes:
                raise ValueError(f"it is larger than {size_bytes:,} bytes")
            written += _write_at(file, chunk, start + written, what)
        if written < size_bytes:
            raise ValueError(f"it ends after {written:,} of {size_bytes:,} bytes")
        return CopiedFile(file, start, size_bytes)

    def _reserve(self, size_bytes: int, what: str) -> tuple[IO[bytes], int]:
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="petalflow-")  # noqa: SIM115  (open until the last reader is gone)
            free = shutil.disk_usage(tempfile.gettempdir()).free
            if size_bytes > free:
                raise no_room(what, f"{size_bytes:,} bytes are needed and {free:,} are free")
            start, self._end = self._end, self._end + size_bytes
            return self._file, start


class Files:
    """The files of a folder, each copied, if it must be, on first use; safe for threads.

    Attributes:
        address: The folder.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._copies = Copies()
        self._ready: dict[str, RandomAccessFile] = {}
        self._locks: dict[str, threading.Lock] = {}

    def open(self, file: File) -> RandomAccessFile:
        """Returns a file for reading any part of it.

        Raises:
            UsageError: If the disk of temporary files is full.
            ValueError: If the file no longer has the size with which it was listed.
        """
        with self._locks.setdefault(file.name, threading.Lock()):  # copies each once, while others need not wait
            if file.name not in self._ready:
                self._ready[file.name] = self._open(file)
            return self._ready[file.name]

    def _open(self, file: File) -> RandomAccessFile:
        address = storage.join(self.address, file.name)
        if storage.is_local(address):
            return LocalFile(storage.local_path(address), file.size_bytes)
        with storage.open_file(address) as reader:
            return self._copies.add(reader, file.size_bytes, address)


def _read_at(file: IO[bytes], offset: int, size: int) -> bytes:
    data = os.pread(file.fileno(), max(size, 0), offset)
    while 0 < len(data) < size and (more := os.pread(file.fileno(), size - len(data), offset + len(data))):
        data += more  # the system reads at most 2 GB at once
    return data


def _write_at(file: IO[bytes], data: bytes, offset: int, what: str) -> int:
    written = 0
    while written < len(data):
        try:
            written += os.pwrite(file.fileno(), data[written:] if written else data, offset + written)
        except OSError as error:
            raise no_room(what, str(error.strerror)) from None
    return written


def no_room(what: str, why: str) -> UsageError:
    """Returns the error for a file that does not fit on the disk of temporary files."""
    return UsageError(
        f"no space for a copy of {what} in {tempfile.gettempdir()} ({why}); free some space, or set TMPDIR to a "
        "folder on a larger disk"
    )
