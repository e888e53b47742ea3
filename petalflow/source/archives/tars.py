"""What is in a .tar file."""

import tarfile
from typing import IO

from petalflow.errors import UsageError
from petalflow.source.archives.entries import Entries, Entry

# A header is one block; with a long name, or in pax format, more: but none that is meant well is near this.
_LONGEST_HEADER_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20


class _Headers:
    """An open file from which headers are read; what announces one that would fill memory is refused."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size_bytes: int) -> bytes:
        if size_bytes > _LONGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size_bytes:,} bytes")
        return self._read(size_bytes)


def read_entries(address: str, file: IO[bytes], size_bytes: int) -> Entries:
    """Returns what a tar holds, by its headers alone.

    Args:
        address: What to call it in messages.
        file: The tar, not compressed.
        size_bytes: Its size.

    Raises:
        UsageError: If it is broken or cut short, or an entry is neither a file nor a folder.
    """
    entries = Entries(address)
    file.seek(0)
    try:
        with tarfile.open(fileobj=_Headers(file), mode="r:", encoding="utf-8") as opened:  # type: ignore[call-overload]
            before = -1
            while (info := opened.next()) is not None:
                opened.members.clear()  # which it would keep, a kilobyte each
                if not before < info.offset_data <= info.offset_data + info.size <= size_bytes:
                    raise tarfile.ReadError(f"{info.name!r} is not within it")
                before = info.offset_data
                _add(entries, info)
            _check_end(file, opened.offset)
    except (tarfile.TarError, EOFError, OSError, OverflowError, RecursionError, ValueError) as error:
        raise UsageError(f"{address} is no whole tar file ({error}); copy it anew, or pack it anew") from None
    return entries


def _add(entries: Entries, info: tarfile.TarInfo) -> None:
    if info.isdir():
        entries.check_name(info.name)
    elif info.isreg() and not info.issparse():
        entries.add(info.name, Entry(info.offset_data, info.size, info.size))
    else:
        raise UsageError(
            f"{entries.address} holds {info.name!r}, {_kind(info)}; pack it anew with files and folders alone "
            "(tar --dereference --hard-dereference)"
        )


def _kind(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return f"a link to {info.linkname!r}"
    return "a file with holes" if info.issparse() else "a device, a pipe or the like"


def _check_end(file: IO[bytes], offset: int) -> None:
    """Checks that there are zeros from the end of the last entry on; the library takes anything for the end."""
    file.seek(offset)
    zeros, chunk = True, file.read(tarfile.BLOCKSIZE)
    if len(chunk) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it is cut short")
    while zeros and chunk:
        zeros, chunk = not chunk.strip(b"\0"), file.read(_CHUNK_BYTES)
    if not zeros:
        raise tarfile.ReadError(f"what stands at byte {offset:,} or after it is no entry")
