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
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from fsspec.implementations.local import LocalFileSystem

from petalflow.errors import UsageError
from petalflow.storage import failures
from petalflow.storage.systems import is_local, local_path, opened, system_of

# Of files copied at once; what takes long is waiting for answers.
_THREADS = 16
# How often a write that met another at the same moment is tried, with doubling waits from a tenth of a second.
_TRIES = 6


@dataclass(frozen=True)
class File:
    """A file below some folder.

    Attributes:
        name: Address relative to that folder, with forward slashes.
        size_bytes: Its size.
    """

    name: str
    size_bytes: int


def absolute(address: str) -> str:
    """Returns a local address made absolute, so that it holds in any working folder; a URI as it is."""
    return os.path.abspath(local_path(address).expanduser()) if is_local(address) else address


def join(address: str, *parts: str) -> str:
    """Returns the address of something below `address`."""
    home = address if address.endswith("://") else address.rstrip("/") + "/"
    return home + "/".join(parts)


def check_address(address: str) -> None:
    """Raises UsageError if no file system for an address is known here; nothing is asked of the place itself."""
    system_of(address)


def exists(address: str) -> bool:
    """Tells whether a file or folder is there."""
    if is_local(address):
        return os.path.lexists(local_path(address))
    return _kind(address) is not None


def is_file(address: str) -> bool:
    """Tells whether a file, and no folder, is there."""
    return local_path(address).is_file() if is_local(address) else _kind(address) == "file"


def _kind(address: str) -> str | None:
    """Returns "file" or "directory", or None if a store has neither there."""
    with opened(address) as (system, path):
        try:  # not by fsspec's `exists` and `isfile`, which say no too where one may not know
            return str(system.info(path)["type"])
        except FileNotFoundError:
            return None


def list_files(address: str, *, deep: bool = True) -> list[File]:
    """Returns the files below a folder, sorted by name; empty if it is not there.

    Args:
        address: The folder.
        deep: At any depth; else only those directly in it.

    Raises:
        UsageError: If a file is a link to nowhere, or a device, a pipe or the like.
    """
    if is_local(address):
        local = (_local_file(name, entry) for name, entry in _walk(local_path(address), deep=deep))
        return sorted(filter(None, local), key=lambda file: file.name)
    infos = _list_store(address, deep=deep)
    return [File(name, int(info["size"])) for name, info in infos.items() if info["type"] == "file"]


def _list_store(address: str, *, deep: bool) -> dict[str, dict[str, Any]]:
    """Returns what a store says of all below a folder, by name, sorted."""
    with opened(address) as (system, path):
        prefix = path.rstrip("/") + "/"
        try:
            infos = system.find(path, detail=True).values() if deep else system.ls(path, detail=True)
        except FileNotFoundError:
            return {}
    # An object named `folder/` stands for a folder, with or without its slash here; consoles make such.
    named = {info["name"].removeprefix(prefix): info for info in infos if info["name"].startswith(prefix)}
    return {name: named[name] for name in sorted(named) if name and not name.endswith("/")}


def _walk(
    folder: Path, *, deep: bool, prefix: str = "", above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields local files and their names; follows links, but not round in circles."""
    if not folder.is_dir():
        return
    here = folder.stat()
    identity = (here.st_dev, here.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            # Of a link, the path's own answer: the entry's raises for a link to itself. Of all else the entry knows.
            if not (Path(entry).is_dir() if entry.is_symlink() else entry.is_dir(follow_symlinks=False)):
                yield prefix + entry.name, entry
            elif deep:
                yield from _walk(Path(entry), deep=deep, prefix=f"{prefix}{entry.name}/", above=above | {identity})


def _local_file(name: str, entry: os.DirEntry[str]) -> File | None:
    """Returns what is at an entry, or None if it was removed meanwhile."""
    try:
        status = entry.stat()
    except OSError:
        if not os.path.lexists(entry):
            return None
        raise UsageError(f"{entry.path} is a link to nowhere; mend or remove it") from None
    if not stat.S_ISREG(status.st_mode):  # from a pipe nothing may ever come, and from a device no end
        raise UsageError(f"{entry.path} is no file but a device, a pipe or a socket; remove it")
    return File(name, status.st_size)


def list_folders(address: str) -> list[str]:
    """Returns the names of the folders directly below a folder, sorted; empty if it is not there."""
    if is_local(address):
        folder = local_path(address)
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    infos = _list_store(address, deep=False)
    return [name for name, info in infos.items() if info["type"] == "directory"]


def has_files(address: str) -> bool:
    """Tells whether there is any file below a folder, looking no further than the first."""
    if is_local(address):
        return next(_walk(local_path(address), deep=True), None) is not None
    infos = _list_store(address, deep=False)
    return any(info["type"] == "file" for info in infos.values()) or any(
        has_files(join(address, name)) for name in infos
    )


def modified(address: str) -> datetime:
    """Returns when a file was last written, as the place where it is says it; some say it to the second only."""
    if is_local(address):
        return datetime.fromtimestamp(os.stat(local_path(address)).st_mtime, UTC)
    with opened(address) as (system, path):
        time: datetime = system.modified(path)
        return time


def version(address: str) -> str:
    """Returns a text that is another one when a file has been written anew."""
    if is_local(address):
        status = os.stat(local_path(address))
        return f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
    with opened(address) as (system, path):
        return str(system.checksum(path))


def read_start(address: str, size_bytes: int) -> bytes:
    """Returns a file's first bytes, all of them where it has no more."""
    if is_local(address):
        with open(local_path(address), "rb") as file:
            return file.read(size_bytes)
    with opened(address) as (system, path):
        end = min(size_bytes, int(system.info(path)["size"]))  # stores refuse a range that begins after the end
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
    """Reads by the fewest calls to the system, each of which lets other threads in: small files come by the million."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # or a pipe would be waited for
    try:
        size_bytes = os.fstat(handle).st_size
        data = os.read(handle, size_bytes + 1)
        if len(data) == size_bytes:
            return data
        with open(handle, "rb", closefd=False) as file:  # it is very large, or grows, or has no size
            return data + file.read()
    finally:
        os.close(handle)


def write_bytes(address: str, data: bytes) -> None:
    """Writes a file whole: a reader sees the old contents or the new, never a part."""
    if is_local(address):
        _write_local(address, data)
        return
    with opened(address, bucket_only=True) as (system, path):
        system.pipe_file(path, data)  # object stores show an object only when it is complete


def _write_local(address: str, data: bytes) -> None:
    path = os.path.abspath(local_path(address))
    folder = os.path.dirname(path)
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        os.makedirs(folder, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}.")
    except OSError as error:
        raise UsageError(f"cannot write {address}: {error.strerror}; choose another place") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)  # mkstemp's 0600 would hide it from other users of a shared folder
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise


def _create_local(address: str, data: bytes) -> bool:
    """Writes a file aside and links it into place, which fails where there is one, and never shows a part."""
    aside = f"{address}.{uuid.uuid4().hex}"
    _write_local(aside, data)
    try:
        os.link(local_path(aside), local_path(address))
    except FileExistsError:
        return False
    finally:
        os.unlink(local_path(aside))
    return True


def read_json(address: str) -> Any:
    """Returns a JSON file's value."""
    return json.loads(read_bytes(address))


def create_json(address: str, value: Any) -> bool:
    """Writes a JSON file unless there is one.

    Returns:
        Whether it was written: of several writers, one is told so.
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
                if code == 412:  # so say stores like S3 that do not name the condition that was not met
                    return False
                if code != 409:  # S3: another writer is at it, try again
                    raise
                conflict = error
            time.sleep(wait_s)
        raise conflict


def write_json(address: str, value: Any) -> None:
    """Writes a value as indented JSON with sorted keys; NaN is refused, since readers choke on it."""
    write_bytes(address, _to_json(value))


def _to_json(value: Any) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def copy_tree(source: str, target: str, *, besides: Collection[str] = (), last: str | None = None) -> None:
    """Copies a folder to another place, across file systems too.

    Args:
        source: Address of the folder.
        target: Address of the folder to make.
        besides: Names of files to leave out.
        last: Name of the file to copy after all others, for readers that wait for it.
    """
    names = [file.name for file in list_files(source) if file.name not in besides]
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
    """Gives a folder on this machine: itself if it is local, else a copy for the block's time."""
    if is_local(address):
        yield local_path(address)
        return
    with tempfile.TemporaryDirectory(prefix="petalflow-") as folder:
        copy_tree(address, folder)
        yield Path(folder)


@contextlib.contextmanager
def local_file(address: str) -> Iterator[Path]:
    """Gives a file on this machine: itself if it is local, else a copy of the same name for the block's time."""
    if is_local(address):
        yield local_path(address)
        return
    with tempfile.TemporaryDirectory(prefix="petalflow-") as folder:
        copy = Path(folder) / address.rpartition("/")[2]
        _copy_file(address, str(copy))
        yield copy


def remove(address: str) -> None:
    """Removes a file or a folder with all that is in it, if it is there."""
    if is_local(address):
        path = os.path.abspath(local_path(address))
        if os.path.lexists(path):
            LocalFileSystem().rm(path, recursive=True)
        return
    with opened(address) as (system, path), contextlib.suppress(FileNotFoundError):
        for name in system.find(path):  # not by `rm`, which takes a name with * or [ in it for a pattern
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                system.rm_file(name)
