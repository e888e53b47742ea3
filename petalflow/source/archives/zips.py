"""What is in a .zip file."""

import stat
import struct
import zipfile
from typing import IO

from petalflow.errors import UsageError
from petalflow.source.archives.entries import Entries, Entry, not_utf8
from petalflow.source.archives.unpacking import check_ratio

_ENCRYPTED = 0x1
_UNIX = 3
_OTHER_METHODS = {9: "deflate64", zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "Zstandard", 95: "xz"}


def read_entries(address: str, file: IO[bytes], size_bytes: int) -> Entries:
    """Returns what a zip holds, by its directory alone.

    Args:
        address: What to call it in messages.
        file: The zip.
        size_bytes: Its size.

    Raises:
        UsageError: If it is broken, encrypted or packed in a way that is not known here, if an entry is a link, and
            if it unpacks to what no images would.
    """
    entries = Entries(address)
    try:
        with zipfile.ZipFile(file, metadata_encoding="utf-8") as opened:
            infos = opened.infolist()
    except UnicodeDecodeError:
        raise not_utf8(address) from None
    except (zipfile.BadZipFile, NotImplementedError, OSError, OverflowError, ValueError, struct.error) as error:
        raise UsageError(f"{address} is no whole zip file ({error}); copy it anew, or pack it anew") from None
    check_ratio(address, size_bytes, sum(info.file_size for info in infos))
    for info in infos:
        _check_kind(address, info)
        if info.filename.endswith("/"):  # not by `is_dir`, which a name of nothing ends in an IndexError
            entries.check_name(info.orig_filename)
            continue
        if not 0 <= info.header_offset <= size_bytes - info.compress_size:
            raise UsageError(f"{address} is no whole zip file ({info.filename!r} is not within it); copy it anew")
        deflated = info.compress_type == zipfile.ZIP_DEFLATED
        entry = Entry(info.header_offset, info.compress_size, info.file_size, info.CRC, deflated)
        entries.add(info.orig_filename, entry)
    return entries


def _check_kind(address: str, info: zipfile.ZipInfo) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise UsageError(f"{address} is encrypted; pack it anew without a password")
    if info.create_system == _UNIX and stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UsageError(f"{address} holds {info.filename!r}, a link, a device or the like; pack it anew without")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = _OTHER_METHODS.get(info.compress_type, f"method {info.compress_type}")
        raise UsageError(f"{address} holds {info.filename!r}, packed by {method}; pack it anew by deflate, as usual")
