"""An archive as an open file from which many threads read: itself, or an unnamed temporary file.

A temporary file disappears when it is closed, even if this process is killed.
"""

import contextlib
import errno
import gzip
import hashlib
import os
import tarfile
import tempfile
import weakref
import zlib
from collections.abc import Collection, Iterator
from typing import IO

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.archives.entries import Entry, check_ratio
from petalflow.source.local_copies import no_room
from petalflow.storage import File

_HEAD_BYTES = 4096
_CHUNK_BYTES = 1 << 20
_LARGE_CHUNK_BYTES = 16 << 20
_LOCAL_HEADER_BYTES = 30
_LOCAL_HEADER = b"PK\x03\x04"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"(\xb5/\xfd": "Zstandard",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
}
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

ZIP, TAR, TAR_GZ = "zip", "tar", "tar.gz"


def read_format(address: str) -> str | None:
    """Returns "zip", "tar" or "tar.gz", by how a file begins; None if it is not an archive.

    Raises:
        UsageError: If it is an archive of another format.
    """
    head = storage.read_start(address, _HEAD_BYTES)
    if head.startswith(_ZIP):
        return ZIP
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise UsageError(f"{address} is compressed with {name}; create it again as .zip, .tar or .tar.gz")
    if head.startswith(_GZIP):
        with contextlib.suppress(zlib.error):
            if _begins_tar(zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, tarfile.BLOCKSIZE)):
                return TAR_GZ
        raise UsageError(
            f"{address} is gzipped, but does not contain a tar; unpack it, or create it again as .zip or .tar.gz"
        )
    return TAR if _begins_tar(head[: tarfile.BLOCKSIZE]) else None


def _begins_tar(head: bytes) -> bool:
    if head == bytes(tarfile.BLOCKSIZE):  # an empty tar
        return True
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def open_unpacked(address: str, format_: str) -> IO[bytes]:
    """Returns a zip or tar, open for reading: a remote one copied, a compressed tar unpacked.

    Raises:
        UsageError: If the archive cannot be unpacked, or does not fit on the disk.
    """
    if storage.is_local(address) and format_ != TAR_GZ:
        return open(storage.local_path(address), "rb")
    with contextlib.ExitStack() as on_failure:
        file = on_failure.enter_context(tempfile.TemporaryFile(prefix="petalflow-"))
        try:
            with storage.open_file(address) as packed:
                for data in _unpacked(address, packed) if format_ == TAR_GZ else _pieces(packed):
                    file.write(data)
            file.flush()
        except OSError as error:
            if error.errno not in _DISK_FULL:
                raise
            raise no_room(address, str(error.strerror)) from None
        on_failure.pop_all()
    return file


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(_CHUNK_BYTES):
        yield data


def _unpacked(address: str, packed: IO[bytes]) -> Iterator[bytes]:
    size_bytes = 0
    try:
        with gzip.GzipFile(fileobj=packed) as stream:
            while data := stream.read(_CHUNK_BYTES):
                size_bytes += len(data)
                check_ratio(address, packed.tell(), size_bytes)
                yield data
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UsageError(f"{address} is not a complete .tar.gz file ({error}); copy or create it again") from None


class Archive:
    """The files of an open archive, as a tree; none is ever written to disk under its own name.

    Attributes:
        address: The archive's address.
    """

    def __init__(self, address: str, file: IO[bytes], entries: dict[str, Entry]) -> None:
        self.address = address
        self._entries = dict(sorted(entries.items()))
        self._handle = file.fileno()
        self._close = weakref.finalize(self, file.close)  # a temporary file is gone then

    def files(self) -> list[File]:
        """Returns all files at any depth, sorted by name."""
        return [File(name, entry.size_bytes) for name, entry in self._entries.items()]

    def names(self) -> Collection[str]:
        """Returns the names of all files, sorted."""
        return self._entries.keys()

    def read(self, name: str) -> bytes:
        """Returns a file's contents.

        Raises:
            FileNotFoundError: If no file has that name.
            UsageError: If the contents are damaged.
        """
        return b"".join(self._contents(name))

    def sha256(self, file: File) -> str:
        """Returns the hash of a file's contents, without holding a large one in memory."""
        digest = hashlib.sha256()
        for data in self._contents(file.name):
            digest.update(data)
        return digest.hexdigest()

    def _contents(self, name: str) -> Iterator[bytes]:
        """Yields a file's contents in pieces: no more than the archive states, and checked at the end."""
        entry = self._entries.get(name)
        if entry is None:
            raise FileNotFoundError(f"{self.address} does not contain {name}")
        crc32, left_bytes = 0, entry.size_bytes
        for data in self._inflated(name, entry) if entry.deflated else self._packed(name, entry):
            left_bytes -= len(data)
            if left_bytes < 0:
                raise self._broken(name, "it unpacks to more than the archive states")
            crc32 = zlib.crc32(data, crc32) if entry.crc32 is not None else 0
            yield data
        if left_bytes:
            raise self._broken(name, "it unpacks to less than the archive states")
        if entry.crc32 is not None and crc32 != entry.crc32:
            raise self._broken(name, "its checksum differs")

    def _inflated(self, name: str, entry: Entry) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        # One byte more than stated, to see that there is more.
        most = min(entry.size_bytes + 1, _LARGE_CHUNK_BYTES)
        try:
            for packed in self._packed(name, entry):
                while packed:
                    yield unpacker.decompress(packed, most)
                    packed = unpacker.unconsumed_tail
            yield unpacker.flush()
        except zlib.error as error:
            raise self._broken(name, str(error)) from None

    def _packed(self, name: str, entry: Entry) -> Iterator[bytes]:
        # By position, so that threads do not wait for each other.
        start, end = self._start(name, entry), entry.packed_bytes
        for done in range(0, end, _LARGE_CHUNK_BYTES):
            size_bytes = min(_LARGE_CHUNK_BYTES, end - done)
            data = os.pread(self._handle, size_bytes, start + done)
            if len(data) < size_bytes:
                raise self._broken(name, "the archive ends within it")
            yield data

    def _start(self, name: str, entry: Entry) -> int:
        if entry.crc32 is None:
            return entry.offset
        header = os.pread(self._handle, _LOCAL_HEADER_BYTES, entry.offset)
        if len(header) < _LOCAL_HEADER_BYTES or not header.startswith(_LOCAL_HEADER):
            raise self._broken(name, "it is not where the archive states")
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        return entry.offset + _LOCAL_HEADER_BYTES + lengths

    def _broken(self, name: str, why: str) -> UsageError:
        return UsageError(f"{self.address} is damaged at {name!r}: {why}; copy or create it again")
