"""An archive as a file here that can be read at any place: itself, or a temporary file without a name.

Such a file is gone when it is closed, however this process ends.
"""

import contextlib
import errno
import gzip
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO

from petalflow import storage
from petalflow.errors import UsageError

_HEAD_BYTES = 4096
_CHUNK_BYTES = 1 << 20
# What an archive may unpack to: this and so many times its own size. Photos do not shrink when packed, drawings and
# masks without compression of their own shrink to a tenth or a fiftieth, zeros to a thousandth.
_FREE_BYTES = 256 << 20
_MOST_TIMES = 100
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"(\xb5/\xfd": "Zstandard",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

ZIP, TAR, TAR_GZ = "zip", "tar", "tar.gz"


def format_of(address: str) -> str | None:
    """Returns "zip", "tar" or "tar.gz", by how a file begins; None if it is no archive.

    Raises:
        UsageError: If it is an archive of another format.
    """
    head = storage.read_start(address, _HEAD_BYTES)
    if head.startswith(_ZIP):
        return ZIP
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise UsageError(f"{address} is packed by {name}; pack it anew as .zip, .tar or .tar.gz")
    if head.startswith(_GZIP):
        with contextlib.suppress(zlib.error):
            if _begins_tar(zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, tarfile.BLOCKSIZE)):
                return TAR_GZ
        raise UsageError(f"{address} is gzipped, but holds no tar; unpack it, or pack it anew as .zip or .tar.gz")
    return TAR if _begins_tar(head[: tarfile.BLOCKSIZE]) else None


def _begins_tar(head: bytes) -> bool:
    if head == bytes(tarfile.BLOCKSIZE):  # of an empty one
        return True
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def open_unpacked(address: str, format_: str) -> IO[bytes]:
    """Returns a zip or tar, open for reading: a remote one copied, a compressed tar unpacked.

    Raises:
        UsageError: If it cannot be unpacked, or there is no room for it.
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
            if error.errno not in _FULL:
                raise
            raise UsageError(
                f"there is no room for a temporary copy of {address} in {tempfile.gettempdir()}; set TMPDIR to a "
                "folder with more"
            ) from None
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
        raise UsageError(f"{address} is no whole .tar.gz file ({error}); copy it anew, or pack it anew") from None


def check_ratio(address: str, packed_bytes: int, unpacked_bytes: int) -> None:
    """Checks that something does not unpack to what no images would.

    Raises:
        UsageError: If it does.
    """
    if unpacked_bytes > _FREE_BYTES + _MOST_TIMES * packed_bytes:
        raise UsageError(
            f"{address} unpacks to more than {_MOST_TIMES} times its size, as images never do; if it is yours, unpack "
            "it and give the folder"
        )


def size_of(file: IO[bytes]) -> int:
    """Returns the size of an open file, in bytes."""
    return os.fstat(file.fileno()).st_size
