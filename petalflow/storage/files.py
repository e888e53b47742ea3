"""Files at an address: a local path, or a URI that fsspec knows (gs://, s3://, memory://)."""

import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from fsspec.implementations.local import LocalFileSystem

from petalflow.errors import UsageError
from petalflow.storage import failures
from petalflow.storage.systems import find_system, is_local, local_path, opened

_THREADS = 16  # files copied at once; most of the time is spent waiting for responses
_TRIES = 6  # of a write that conflicts with another, with waits that double from a tenth of a second


@dataclass(frozen=True)
class File:
    """A file below some folder.

    Attributes:
        name: Path relative to that folder, with forward slashes.
        size_bytes: Its size.
    """

    name: str
    size_bytes: int


def absolute(address: str) -> str:
    """Returns a local address made absolute, independent of the working folder; a URI unchanged."""
    return os.path.abspath(local_path(address).expanduser()) if is_local(address) else address


def join(address: str, *parts: str) -> str:
    """Returns the address of a file or folder below `address`."""
    home = address if address.endswith("://") else address.rstrip("/") + "/"
    return home + "/".join(parts)


def check_address(address: str) -> None:
    """Raises UsageError if there is no file system for an address; sends no request."""
    find_system(address)


def exists(address: str) -> bool:
    """Returns True if a file or folder exists."""
    if is_local(address):
        return os.path.lexists(local_path(address))
    return _kind(address) is not None


def is_file(address: str) -> bool:
    """Returns True if a file exists, and not a folder."""
    return local_path(address).is_file() if is_local(address) else _kind(address) == "file"


def _kind(address: str) -> str | None:
    """Returns "file" or "directory", or None if a store has neither."""
    with opened(address) as (system, path):
        try:  # not fsspec's `exists` and `isfile`, which return False for denied access
            return str(system.info(path)["type"])
        except FileNotFoundError:
            return None


def _never(name: str) -> bool:
    return False


def list_files(address: str, *, deep: bool = True, optional: Callable[[str], bool] = _never) -> list[File]:
    """Returns the files below a folder, sorted by name; empty if it does not exist.

    Args:
        address: The folder.
        deep: True for files at any depth, False for those directly in it.
        optional: Name of a file or folder -> True if it is left out where a local one cannot be read.

    Raises:
        UsageError: If a file is a broken link, or a device, a pipe or the like.
    """
    if is_local(address):
        walked = _walk(local_path(address), deep=deep, optional=optional)
        local = (_local_file(name, entry, optional) for name, entry in walked)
        return sorted(filter(None, local), key=lambda file: file.name)
    infos = _list_store(address, deep=deep)
    return [File(name, int(info["size"])) for name, info in infos.items() if info["type"] == "file"]


def _list_store(address: str, *, deep: bool) -> dict[str, dict[str, Any]]:
    """Returns a store's entries below a folder, by name, sorted."""
    with opened(address) as (system, path):
        prefix = path.rstrip("/") + "/"
        try:
            infos = system.find(path, detail=True).values() if deep else system.ls(path, detail=True)
        except FileNotFoundError:
            return {}
    # An object named `folder/`, which consoles make, stands for a folder, with or without its slash here.
    named = {info["name"].removeprefix(prefix): info for info in infos if info["name"].startswith(prefix)}
    return {name: named[name] for name in sorted(named) if name and not name.endswith("/")}


def _walk(
    folder: Path,
    *,
    deep: bool,
    prefix: str = "",
    above: frozenset[tuple[int, int]] = frozenset(),
    optional: Callable[[str], bool] = _never,
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields local files and their names; follows links, except to a folder that contains them."""
    if not folder.is_dir():
        return
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    with contextlib.ExitStack() as stack:
        try:
            entries = stack.enter_context(os.scandir(folder))
        except PermissionError:
            if optional(prefix):
                return
            raise
        for entry in entries:
            # A link is examined by its path, since the entry raises for a link to itself; all else by its entry.
            if not (Path(entry).is_dir() if entry.is_symlink() else entry.is_dir(follow_symlinks=False)):
                yield prefix + entry.name, entry
            elif deep:
                inner = f"{prefix}{entry.name}/"
                yield from _walk(Path(entry), deep=deep, prefix=inner, above=above | {identity}, optional=optional)


def _local_file(name: str, entry: os.DirEntry[str], optional: Callable[[str], bool]) -> File | None:
    """Returns the file at an entry, or None if it was removed meanwhile, or is optional and cannot be read."""
    try:
        status = entry.stat()
    except OSError:
        if not os.path.lexists(entry) or optional(name):
            return None
        raise UsageError(f"{entry.path} is a broken link; fix or remove it") from None
    if not stat.S_ISREG(status.st_mode):  # reading a pipe may block forever, and reading a device may never end
        if optional(name):
            return None
        raise UsageError(f"{entry.path} is not a file but a device, a pipe or a socket; remove it")
    return File(name, status.st_size)


def list_folders(address: str) -> list[str]:
    """Returns the names of the folders directly below a folder, sorted; empty if it does not exist."""
    if is_local(address):
        folder = local_path(address)
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    infos = _list_store(address, deep=False)
    return [name for name, info in infos.items() if info["type"] == "directory"]


def has_files(address: str, optional: Callable[[str], bool] = _never) -> bool:
    """Returns True if there is any file below a folder; stops at the first.

    Args:
        address: The folder.
        optional: Name of a folder -> True if it is left out where a local one cannot be read.
    """
    if is_local(address):
        return next(_walk(local_path(address), deep=True, optional=optional), None) is not None
    infos = _list_store(address, deep=False)
    return any(info["type"] == "file" for info in infos.values()) or any(
        has_files(join(address, name)) for name in infos
    )


def modified(address: str) -> datetime:
    """Returns when a file was last written, as its file system reports it: by some only to the second."""
    if is_local(address):
        return datetime.fromtimestamp(os.stat(local_path(address)).st_mtime, UTC)
    with opened(address) as (system, path):
        time: datetime = system.modified(path)
        return time


def version(address: str) -> str:
    """Returns a text that changes whenever a file is written again."""
    if is_local(address):
        status = os.stat(local_path(address))
        return f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
    with opened(address) as (system, path):
        return str(system.checksum(path))


def read_start(address: str, size_bytes: int) -> bytes:
    """Returns a file's first bytes, or all of a shorter file."""
    if is_local(address):
        with open(local_path(address), "rb") as file:
            return file.read(size_bytes)
    with opened(address) as (system, path):
        end = min(size_bytes, int(system.info(path)["size"]))  # stores reject a range that begins after the end
        return bytes(system.cat_file(path, start=0, end=end)) if end else b""


@contextlib.contextmanager
def open_file(address: str, mode: str = "rb") -> Iterator[IO[Any]]:
    """Opens a file for reading or writing."""
    with opened(address, bucket_only="w" in mode) as (system, path), system.open(path, mode) as file:
        yield file


def read_bytes(address: str) -> bytes:
    """Returns a file's contents."""
    if is_local(address):
        return _read_local(address.removeprefix("file://"))
    with opened(address) as (system, path):
        return bytes(system.cat_file(path))


def _read_local(path: str) -> bytes:
    """Reads with the fewest system calls, each of which lets other threads in: there may be millions of small files."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # so as not to wait for a pipe
    try:
        size_bytes = os.fstat(handle).st_size
        data = os.read(handle, size_bytes + 1)
        if len(data) == size_bytes:
            return data
        with open(handle, "rb", closefd=False) as file:  # the file is very large, is growing, or has no size
            return data + file.read()
    finally:
        os.close(handle)


def write_bytes(address: str, data: bytes) -> None:
    """Writes a file atomically: a reader sees the old contents or the new, never a part."""
    if is_local(address):
        _write_local(address, data)
        return
    with opened(address, bucket_only=True) as (system, path):
        system.pipe_file(path, data)  # object stores show only complete objects


def _write_local(address: str, data: bytes) -> None:
    path = os.path.abspath(local_path(address))
    folder = os.path.dirname(path)
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}.")
    except OSError as error:
        raise UsageError(f"{address} cannot be written: {error.strerror}; choose another folder") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide it from other users of a shared folder
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _create_local(address: str, data: bytes) -> bool:
    """Writes a temporary file and links it into place: that fails if there is a file, and never shows a part."""
    temporary = f"{address}.{uuid.uuid4().hex}"
    _write_local(temporary, data)
    try:
        os.link(local_path(temporary), local_path(address))
    except FileExistsError:
        return False
    finally:
        os.unlink(local_path(temporary))
    return True


def read_json(address: str) -> Any:
    """Returns a JSON file's value."""
    return json.loads(read_bytes(address))


def create_json(address: str, value: Any) -> bool:
    """Writes a JSON file unless it exists.

    Returns:
        True if it was written; of several concurrent writers, only one gets True.
    """
    data = _to_json(value)
    if is_local(address):
        return _create_local(address, data)
    with opened(address, bucket_only=True) as (system, path):
        for wait_s in (0.1 * 2**number for number in range(_TRIES)):
            try:
                system.pipe_file(path, data, mode="create")
                return True
            except FileExistsError:
                return False
            except OSError as error:
                code = failures.status(error)
                if code == 412:  # from stores like S3 that do not name the failed condition
                    return False
                if code != 409:  # S3: another write is in progress, try again
                    raise
                conflict = error
            time.sleep(wait_s)
        raise conflict


def write_json(address: str, value: Any) -> None:
    """Writes a value as indented JSON with sorted keys; refuses NaN, which many readers do not accept."""
    write_bytes(address, _to_json(value))


def _to_json(value: Any) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def copy_tree(source: str, target: str, *, exclude: Collection[str] = (), last: str | None = None) -> None:
    """Copies a folder, also across file systems.

    Args:
        source: Address of the folder.
        target: Address of the folder to make.
        exclude: Names of files to leave out.
        last: Name of the file to copy after all others, for readers that wait for it.
    """
    names = [file.name for file in list_files(source) if file.name not in exclude]
    with ThreadPoolExecutor(_THREADS) as pool:
        for now in ([name for name in names if name != last], [name for name in names if name == last]):
            list(pool.map(lambda name: _copy_file(join(source, name), join(target, name)), now))


def _copy_file(source: str, target: str) -> None:
    if is_local(target):
        local_path(target).parent.mkdir(parents=True, exist_ok=True)
    if is_local(source) and not is_local(target):
        with opened(target, bucket_only=True) as (system, path):
            system.put_file(str(local_path(source)), path)
    elif is_local(target) and not is_local(source):
        with opened(source) as (system, path):
            system.get_file(path, str(local_path(target)))
    else:
        with open_file(source) as reader, open_file(target, "wb") as writer:
            shutil.copyfileobj(reader, writer, 4 << 20)


@contextlib.contextmanager
def local_copy(address: str) -> Iterator[Path]:
    """Yields a folder on this machine: itself if it is local, else a copy for as long as the block runs."""
    if is_local(address):
        yield local_path(address)
        return
    with tempfile.TemporaryDirectory(prefix="petalflow-") as folder:
        copy_tree(address, folder)
        yield Path(folder)


@contextlib.contextmanager
def local_file(address: str) -> Iterator[Path]:
    """Yields a file on this machine: itself if it is local, else a copy of that name for as long as the block runs."""
    if is_local(address):
        yield local_path(address)
        return
    with tempfile.TemporaryDirectory(prefix="petalflow-") as folder:
        copy = Path(folder) / address.rpartition("/")[2]
        _copy_file(address, str(copy))
        yield copy


def remove(address: str) -> None:
    """Removes a file, or a folder with everything in it, if it exists."""
    if is_local(address):
        path = os.path.abspath(local_path(address))
        if os.path.lexists(path):
            LocalFileSystem().rm(path, recursive=True)
        return
    with opened(address) as (system, path), contextlib.suppress(FileNotFoundError):
        for name in system.find(path):  # not by `rm`, which takes a name with * or [ for a pattern
            with contextlib.suppress(FileNotFoundError):  # another process removed it first
                system.rm_file(name)
