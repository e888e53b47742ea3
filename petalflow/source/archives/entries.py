"""The files that a .tar or .zip archive holds, read from its headers or its directory alone."""

import re
import stat
import struct
import tarfile
import zipfile
from typing import IO, NamedTuple

from petalflow.errors import UsageError

_CHUNK_BYTES = 1 << 20
# A tar header is one block, or more with a long name or in pax format; no legitimate one is nearly this long.
_LONGEST_HEADER_BYTES = 1 << 20
# An archive may unpack to this size plus this many times its own. Photos do not shrink when packed; uncompressed
# drawings and masks shrink to a tenth or a fiftieth, zeros to a thousandth.
_FREE_BYTES = 256 << 20
_MAX_RATIO = 100
# In zip files: the bit of an encrypted entry, the number of Unix, and compression methods that we do not read.
_ENCRYPTED = 0x1
_UNIX = 3
_OTHER_METHODS = {9: "deflate64", zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "Zstandard", 95: "xz"}


class Entry(NamedTuple):
    """A file in an archive.

    Attributes:
        offset: Where its contents begin in the archive; in a zip, where the header before them begins.
        packed_bytes: The size of its contents in the archive.
        size_bytes: Its size when unpacked.
        crc32: The checksum of its contents; None in a tar, which keeps none.
        deflated: True if its contents are compressed.
    """

    offset: int
    packed_bytes: int
    size_bytes: int
    crc32: int | None = None
    deflated: bool = False


class Entries(dict[str, Entry]):
    """The files found in an archive so far, by name.

    Attributes:
        address: The archive's address.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def add(self, name: str, entry: Entry) -> None:
        """Adds a file.

        Raises:
            UsageError: If its name points outside the archive, is not UTF-8, or is there already.
        """
        clean = self.check_name(name)
        if not clean:
            raise UsageError(f"{self.address} contains a file without a name; create it again")
        if clean in self:
            raise UsageError(f"{self.address} contains {clean!r} twice; create it again with each file once")
        self[clean] = entry

    def check_name(self, name: str) -> str:
        """Returns the name of a file or folder without `./` and the like.

        Raises:
            UsageError: If it points outside the archive, or is not UTF-8.
        """
        try:
            name.encode()
        except UnicodeEncodeError:
            raise _not_utf8(self.address, f"the name {name!r}") from None
        parts = [part for part in name.split("/") if part not in ("", ".")]
        # Backslashes and drive letters are harmless here, but point elsewhere on other systems.
        if name.startswith("/") or ".." in parts or re.match("[A-Za-z]:|[^\0]*[\\\\\0]", name):
            raise UsageError(
                f"{self.address} contains {name!r}, which points outside it or is not a valid name on every system; "
                "create it again with names relative to its folder, separated by /"
            )
        return "/".join(parts)


def check_ratio(address: str, packed_bytes: int, unpacked_bytes: int) -> None:
    """Checks that an archive does not unpack to a size that images never reach.

    Raises:
        UsageError: If it does.
    """
    if unpacked_bytes > _FREE_BYTES + _MAX_RATIO * packed_bytes:
        raise UsageError(
            f"{address} unpacks to more than {_MAX_RATIO} times its size, far more than images do; if you trust it, "
            "unpack it and give the folder"
        )


def read_tar_entries(address: str, file: IO[bytes], size_bytes: int) -> Entries:
    """Returns the files in a tar, from its headers alone.

    Args:
        address: What to call the archive in messages.
        file: The tar, not compressed.
        size_bytes: The file's size.

    Raises:
        UsageError: If the tar is damaged or truncated, or an entry is neither a file nor a folder.
    """
    entries = Entries(address)
    file.seek(0)
    try:
        with tarfile.open(fileobj=_Headers(file), mode="r:", encoding="utf-8") as opened:  # type: ignore[call-overload]
            before = -1
            while (info := opened.next()) is not None:
                opened.members.clear()  # it would keep them all, a kilobyte each
                if not before < info.offset_data <= info.offset_data + info.size <= size_bytes:
                    raise tarfile.ReadError(f"{info.name!r} is not within it")
                before = info.offset_data
                _add_tar_entry(entries, info)
            _check_tar_end(file, opened.offset)
    except (tarfile.TarError, EOFError, OSError, OverflowError, RecursionError, ValueError) as error:
        raise UsageError(f"{address} is not a complete tar file ({error}); copy or create it again") from None
    return entries


def read_zip_entries(address: str, file: IO[bytes], size_bytes: int) -> Entries:
    """Returns the files in a zip, from its directory alone.

    Args:
        address: What to call the archive in messages.
        file: The zip.
        size_bytes: The file's size.

    Raises:
        UsageError: If the zip is damaged, encrypted, compressed by an unknown method or too small for what it unpacks
            to, or if an entry is a link.
    """
    entries = Entries(address)
    try:
        with zipfile.ZipFile(file, metadata_encoding="utf-8") as opened:
            infos = opened.infolist()
    except UnicodeDecodeError:
        raise _not_utf8(address, "a name") from None
    except (zipfile.BadZipFile, NotImplementedError, OSError, OverflowError, ValueError, struct.error) as error:
        raise UsageError(f"{address} is not a complete zip file ({error}); copy or create it again") from None
    check_ratio(address, size_bytes, sum(info.file_size for info in infos))
    for info in infos:
        _check_zip_entry(address, info)
        if info.filename.endswith("/"):  # not by `is_dir`, which raises IndexError for an empty name
            entries.check_name(info.orig_filename)
            continue
        if not 0 <= info.header_offset <= size_bytes - info.compress_size:
            raise UsageError(f"{address} is not a complete zip file ({info.filename!r} lies outside it); copy it again")
        deflated = info.compress_type == zipfile.ZIP_DEFLATED
        entry = Entry(info.header_offset, info.compress_size, info.file_size, info.CRC, deflated)
        entries.add(info.orig_filename, entry)
    return entries


class _Headers:
    """An open file from which headers are read; one that claims to fill the memory is refused."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size_bytes: int) -> bytes:
        if size_bytes > _LONGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size_bytes:,} bytes")
        return self._read(size_bytes)


def _add_tar_entry(entries: Entries, info: tarfile.TarInfo) -> None:
    if info.isdir():
        entries.check_name(info.name)
    elif info.isreg() and not info.issparse():
        entries.add(info.name, Entry(info.offset_data, info.size, info.size))
    else:
        raise UsageError(
            f"{entries.address} contains {info.name!r}, {_describe(info)}; create it again with files and folders only "
            "(tar --dereference --hard-dereference)"
        )


def _describe(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return f"a link to {info.linkname!r}"
    return "a sparse file" if info.issparse() else "a device or a pipe"


def _check_tar_end(file: IO[bytes], offset: int) -> None:
    """Checks that only zeros follow the last entry; the library takes anything for the end."""
    file.seek(offset)
    zeros, chunk = True, file.read(tarfile.BLOCKSIZE)
    if len(chunk) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it is truncated")
    while zeros and chunk:
        zeros, chunk = not chunk.strip(b"\0"), file.read(_CHUNK_BYTES)
    if not zeros:
        raise tarfile.ReadError(f"the data at byte {offset:,} or after it is not an entry")


def _check_zip_entry(address: str, info: zipfile.ZipInfo) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise UsageError(f"{address} is encrypted; create it again without a password")
    if info.create_system == _UNIX and stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UsageError(
            f"{address} contains {info.filename!r}, which is a link, a device or a pipe; create it again without it"
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = _OTHER_METHODS.get(info.compress_type, f"method {info.compress_type}")
        raise UsageError(
            f"{address} contains {info.filename!r}, compressed with {method}; create it again with deflate"
        )


def _not_utf8(address: str, which: str) -> UsageError:
    return UsageError(f"{address} contains {which} that is not UTF-8; create it again with a tool that writes UTF-8")
