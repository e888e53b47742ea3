"""What an archive holds, read by many threads at once from one open file."""

import hashlib
import os
import re
import weakref
import zlib
from collections.abc import Collection, Iterator
from typing import IO, NamedTuple

from petalflow.errors import UsageError
from petalflow.storage import File

_CHUNK_BYTES = 16 << 20
_LOCAL_HEADER_BYTES = 30
_LOCAL_HEADER = b"PK\x03\x04"
_PACK_ANEW = "pack it anew"


class Entry(NamedTuple):
    """A file in an archive.

    Attributes:
        offset: Where its contents begin in the archive; in a zip, where the header before them does.
        packed_bytes: What its contents take there.
        size_bytes: Its size.
        crc32: The checksum of its contents; None where the archive keeps none, as a tar.
        deflated: Whether its contents are compressed.
    """

    offset: int
    packed_bytes: int
    size_bytes: int
    crc32: int | None = None
    deflated: bool = False


class Archive:
    """A tree of files in an open archive; no entry is ever written under its name.

    Attributes:
        address: The archive's address.
    """

    def __init__(self, address: str, file: IO[bytes], entries: dict[str, Entry]) -> None:
        self.address = address
        self._entries = dict(sorted(entries.items()))
        self._handle = file.fileno()
        self._close = weakref.finalize(self, file.close)  # it may be a temporary file, which is gone then

    def files(self) -> list[File]:
        """Returns all files at any depth, sorted by name."""
        return [File(name, entry.size_bytes) for name, entry in self._entries.items()]

    def names(self) -> Collection[str]:
        """Returns the names of all files, sorted."""
        return self._entries.keys()

    def read(self, name: str) -> bytes:
        """Returns a file's contents.

        Raises:
            FileNotFoundError: If there is none of that name.
            UsageError: If they are broken.
        """
        return b"".join(self._contents(name))

    def sha256(self, file: File) -> str:
        """Returns the hash of a file's contents, without holding a large one in memory."""
        digest = hashlib.sha256()
        for data in self._contents(file.name):
            digest.update(data)
        return digest.hexdigest()

    def _contents(self, name: str) -> Iterator[bytes]:
        """Yields a file's contents in pieces; no more than was announced, and checked at the end."""
        entry = self._entries.get(name)
        if entry is None:
            raise FileNotFoundError(f"{self.address} holds no {name}")
        crc32, left_bytes = 0, entry.size_bytes
        for data in self._inflated(name, entry) if entry.deflated else self._packed(name, entry):
            left_bytes -= len(data)
            if left_bytes < 0:
                raise self._broken(name, "it unpacks to more than was announced")
            crc32 = zlib.crc32(data, crc32) if entry.crc32 is not None else 0
            yield data
        if left_bytes:
            raise self._broken(name, "it unpacks to less than was announced")
        if entry.crc32 is not None and crc32 != entry.crc32:
            raise self._broken(name, "its checksum is another")

    def _inflated(self, name: str, entry: Entry) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        # One byte more than announced shows that it is not as announced.
        most = min(entry.size_bytes + 1, _CHUNK_BYTES)
        try:
            for packed in self._packed(name, entry):
                while packed:
                    yield unpacker.decompress(packed, most)
                    packed = unpacker.unconsumed_tail
            yield unpacker.flush()
        except zlib.error as error:
            raise self._broken(name, str(error)) from None

    def _packed(self, name: str, entry: Entry) -> Iterator[bytes]:
        # By position, so that threads need not wait for one another.
        start, end = self._start(name, entry), entry.packed_bytes
        for done in range(0, end, _CHUNK_BYTES):
            size_bytes = min(_CHUNK_BYTES, end - done)
            data = os.pread(self._handle, size_bytes, start + done)
            if len(data) < size_bytes:
                raise self._broken(name, "the archive ends within it")
            yield data

    def _start(self, name: str, entry: Entry) -> int:
        if entry.crc32 is None:
            return entry.offset
        header = os.pread(self._handle, _LOCAL_HEADER_BYTES, entry.offset)
        if len(header) < _LOCAL_HEADER_BYTES or not header.startswith(_LOCAL_HEADER):
            raise self._broken(name, "it is not where the archive says")
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        return entry.offset + _LOCAL_HEADER_BYTES + lengths

    def _broken(self, name: str, why: str) -> UsageError:
        return UsageError(f"{self.address} is broken at {name!r}: {why}; copy it anew, or {_PACK_ANEW}")


class Entries(dict[str, Entry]):
    """What has been found in an archive so far, by name.

    Attributes:
        address: The archive's address.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def add(self, name: str, entry: Entry) -> None:
        """Takes in a file.

        Raises:
            UsageError: If its name leads out of the archive, is no text, or is there already.
        """
        clean = self.check_name(name)
        if not clean:
            raise UsageError(f"{self.address} holds a file without a name; {_PACK_ANEW}")
        if clean in self:
            raise UsageError(f"{self.address} holds {clean!r} twice; {_PACK_ANEW}, each file once")
        self[clean] = entry

    def check_name(self, name: str) -> str:
        """Returns the name of a file or folder without `./` and the like.

        Raises:
            UsageError: If it leads out of the archive, or is no text.
        """
        try:
            name.encode()
        except UnicodeEncodeError:
            raise not_utf8(self.address, name) from None
        parts = [part for part in name.split("/") if part not in ("", ".")]
        # Backslashes and drive letters are names here, and ways out elsewhere.
        if name.startswith("/") or ".." in parts or re.match("[A-Za-z]:|[^\0]*[\\\\\0]", name):
            raise UsageError(
                f"{self.address} holds {name!r}, which leads out of it or is no name everywhere; {_PACK_ANEW}, with "
                "names relative to its folder, parted by /"
            )
        return "/".join(parts)


def not_utf8(address: str, name: str = "") -> UsageError:
    """Returns the error for an archive with a name that is no text."""
    which = f"the name {name!r}" if name else "a name"
    return UsageError(f"{address} holds {which} that is not UTF-8; {_PACK_ANEW} by a tool that writes UTF-8")
