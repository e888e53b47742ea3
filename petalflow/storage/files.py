"""Files at an address: a local path, or a URI that fsspec knows (gs://, s3://, memory://)."""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from petalflow.errors import UsageError

# The extra of setup.py that brings a scheme's file system.
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3"}


@dataclass(frozen=True)
class File:
    """A file below some folder.

    Attributes:
        name: Address relative to that folder, with forward slashes.
        size_bytes: Its size.
    """

    name: str
    size_bytes: int


def is_local(address: str) -> bool:
    """Tells whether `address` is on this machine's file system."""
    return "://" not in address or address.startswith("file://")


def local_path(address: str) -> Path:
    """Returns the path of a local address.

    Raises:
        UsageError: If it is not local.
    """
    if not is_local(address):
        raise UsageError(f"{address} must be a local path here")
    return Path(address.removeprefix("file://"))


def absolute(address: str) -> str:
    """Returns a local address made absolute, so that it holds in any working folder; a URI as it is."""
    return os.path.abspath(local_path(address).expanduser()) if is_local(address) else address


def join(address: str, *parts: str) -> str:
    """Returns the address of something below `address`."""
    home = address if address.endswith("://") else address.rstrip("/") + "/"
    return home + "/".join(parts)


def check_address(address: str) -> None:
    """Raises UsageError if no file system for an address is known here; nothing is asked of the place itself."""
    _system(address)


def exists(address: str) -> bool:
    """Tells whether a file or folder is there."""
    system, path = _system(address)
    return bool(system.exists(path))


def list_files(address: str, *, deep: bool = True) -> list[File]:
    """Returns the files below a folder, sorted by name; empty if it is not there.

    Args:
        address: The folder.
        deep: At any depth; else only those directly in it.

    Raises:
        UsageError: If a file is a link to nowhere.
    """
    system, path = _system(address)
    if isinstance(system, LocalFileSystem):
        local = (_local_file(name, entry) for name, entry in _walk(Path(path), deep=deep))
        return sorted(local, key=lambda file: file.name)
    found = system.find(path, maxdepth=None if deep else 1, detail=True)
    prefix = path.rstrip("/") + "/"
    files = (File(name.removeprefix(prefix), int(info["size"])) for name, info in found.items())
    return sorted(files, key=lambda file: file.name)


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
            if not Path(entry).is_dir():  # which, unlike the entry's own, takes a link to itself for no folder
                yield prefix + entry.name, entry
            elif deep:
                yield from _walk(Path(entry), deep=deep, prefix=f"{prefix}{entry.name}/", above=above | {identity})


def _local_file(name: str, entry: os.DirEntry[str]) -> File:
    try:
        return File(name, entry.stat().st_size)
    except OSError:
        raise UsageError(f"{entry.path} is a link to nowhere; mend or remove it") from None


def list_folders(address: str) -> list[str]:
    """Returns the names of the folders directly below a folder, sorted; empty if it is not there."""
    system, path = _system(address)
    if isinstance(system, LocalFileSystem):
        return sorted(entry.name for entry in Path(path).iterdir() if entry.is_dir()) if os.path.isdir(path) else []
    if not system.isdir(path):
        return []
    infos = system.ls(path, detail=True)
    return sorted(info["name"].rstrip("/").rsplit("/", 1)[-1] for info in infos if info["type"] == "directory")


def has_files(address: str) -> bool:
    """Tells whether there is any file below a folder, looking no further than the first."""
    system, path = _system(address)
    if isinstance(system, LocalFileSystem):
        return next(_walk(Path(path), deep=True), None) is not None
    return any(files for _, _, files in system.walk(path))


@contextlib.contextmanager
def open_file(address: str, mode: str = "rb") -> Iterator[IO[Any]]:
    """Opens a file for reading or writing."""
    system, path = _system(address)
    with system.open(path, mode) as file:
        yield file


def read_bytes(address: str) -> bytes:
    """Returns a file's contents."""
    system, path = _system(address)
    return bytes(system.cat_file(path))


def write_bytes(address: str, data: bytes) -> None:
    """Writes a file whole: a reader sees the old contents or the new, never a part."""
    system, path = _system(address)
    if not isinstance(system, LocalFileSystem):
        system.pipe_file(path, data)  # object stores show an object only when it is complete
        return
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


def read_json(address: str) -> Any:
    """Returns a JSON file's value."""
    return json.loads(read_bytes(address))


def create_json(address: str, value: Any) -> bool:
    """Writes a JSON file on an object store unless there is one.

    Returns:
        Whether it was written: of several writers, one is told so.
    """
    system, path = _system(address)
    try:
        system.pipe_file(path, _to_json(value), mode="create")
    except FileExistsError:
        return False
    return True


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
    for name in sorted(names, key=lambda name: (name == last, name)):
        with open_file(join(source, name)) as reader:
            if is_local(target):
                local_path(join(target, name)).parent.mkdir(parents=True, exist_ok=True)
            with open_file(join(target, name), "wb") as writer:
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


def remove(address: str) -> None:
    """Removes a file or a folder with all that is in it, if it is there."""
    system, path = _system(address)
    if system.exists(path):
        system.rm(path, recursive=True)


def _system(address: str) -> tuple[fsspec.AbstractFileSystem, str]:
    if is_local(address):
        # Not by fsspec's parser, which reads "::" in a name as a chain of file systems.
        return LocalFileSystem(), os.path.abspath(local_path(address))
    try:
        system, path = url_to_fs(address)
    except ImportError as error:
        extra = _EXTRAS.get(address.split("://")[0])
        remedy = f"pip install 'petalflow[{extra}]'" if extra else " ".join(str(error).split())
        raise UsageError(f"{address} needs a package that is not installed: {remedy}") from None
    except ValueError as error:
        raise UsageError(f"{address} is no address that can be read: {' '.join(str(error).split())}") from None
    return system, path
