"""Files of which any part can be read at any time, by many threads, without holding them in memory.

What is on this machine is read where it is. What is elsewhere, or packed, is copied once into a temporary file that has
no name, so that it is gone when nobody reads it any more, however the process ends.
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


class AtHand(Protocol):
    """A file, any part of which can be read by many threads.

    Attributes:
        size_bytes: Its size.
    """

    @property
    def size_bytes(self) -> int:
        """Its size."""

    def read(self, offset: int, size: int) -> bytes:
        """Returns `size` bytes from an offset on; fewer if the file ends before."""


@dataclass(frozen=True)
class InPlace:
    """A file on this machine.

    Attributes:
        path: Where it is.
        size_bytes: Its size.
    """

    path: Path
    size_bytes: int

    def read(self, offset: int, size: int) -> bytes:
        """Returns `size` bytes from an offset on; fewer if the file ends before."""
        # Opened each time, which costs microseconds: a source may have more files than a process may hold open.
        with self.path.open("rb", buffering=0) as file:
            return _read_at(file, offset, min(size, self.size_bytes - offset))


@dataclass(frozen=True)
class Copied:
    """A copy of a file, among others in a temporary file.

    Attributes:
        file: The temporary file.
        start: Where the copy begins in it.
        size_bytes: The copy's size.
    """

    file: IO[bytes]
    start: int
    size_bytes: int

    def read(self, offset: int, size: int) -> bytes:
        """Returns `size` bytes from an offset on; fewer if the file ends before."""
        return _read_at(self.file, self.start + offset, min(size, self.size_bytes - offset))


class Copies:
    """Copies of files in one temporary file; safe to add to from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._end = 0

    def add(self, reader: IO[bytes], size_bytes: int, what: str) -> Copied:
        """Copies all that a reader gives.

        Args:
            reader: The file.
            size_bytes: How much that is said to be; no more is read than one byte beyond it.
            what: What to call the file in messages.

        Raises:
            UsageError: If there is no room for it.
            ValueError: If it is more or less than said.
        """
        file, start = self._reserve(size_bytes, what)
        written = 0
        while chunk := reader.read(min(_CHUNK_BYTES, size_bytes - written + 1)):
            if written + len(chunk) > size_bytes:
                raise ValueError(f"there is more in it than {size_bytes:,} bytes")
            written += _write_at(file, chunk, start + written, what)
        if written < size_bytes:
            raise ValueError(f"it ends after {written:,} of {size_bytes:,} bytes")
        return Copied(file, start, size_bytes)

    def _reserve(self, size_bytes: int, what: str) -> tuple[IO[bytes], int]:
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="petalflow-")  # noqa: SIM115  (open as long as anybody reads)
            free = shutil.disk_usage(tempfile.gettempdir()).free
            if size_bytes > free:
                raise no_room(what, f"{size_bytes:,} bytes are needed and {free:,} are free")
            start, self._end = self._end, self._end + size_bytes
            return self._file, start


class Files:
    """The files of a folder, each made ready when it is first asked for; safe for threads.

    Attributes:
        address: The folder.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._copies = Copies()
        self._ready: dict[str, AtHand] = {}
        self._locks: dict[str, threading.Lock] = {}

    def open(self, file: File) -> AtHand:
        """Returns a file, at hand.

        Raises:
            UsageError: If there is no room for a copy of it.
            ValueError: If it is no longer as long as it was listed.
        """
        with self._locks.setdefault(file.name, threading.Lock()):  # none need come twice, and others need not wait
            if file.name not in self._ready:
                self._ready[file.name] = self._open(file)
            return self._ready[file.name]

    def _open(self, file: File) -> AtHand:
        address = storage.join(self.address, file.name)
        if storage.is_local(address):
            return InPlace(storage.local_path(address), file.size_bytes)
        with storage.open_file(address) as reader:
            return self._copies.add(reader, file.size_bytes, address)


def _read_at(file: IO[bytes], offset: int, size: int) -> bytes:
    data = os.pread(file.fileno(), max(size, 0), offset)
    while 0 < len(data) < size and (more := os.pread(file.fileno(), size - len(data), offset + len(data))):
        data += more  # the system reads no more than 2 GB at once
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
        f"there is no room for a copy of {what} in {tempfile.gettempdir()} ({why}); make room, or set TMPDIR to a "
        "folder on a larger disk"
    )
