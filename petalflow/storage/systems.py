"""The file system that an address is on, and whether it can be read and written there."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from petalflow.errors import PetalflowError, UsageError
from petalflow.storage import failures

# Why not etils.epath: its gs:// and s3:// would neither take our single requests nor our errors with remedies.
# The extra of setup.py that installs a scheme's file system.
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3"}


def is_local(address: str) -> bool:
    """Returns True if an address is on this machine's file system."""
    return "://" not in address or address.startswith("file://")


def local_path(address: str) -> Path:
    """Returns the path of a local address.

    Raises:
        UsageError: If it is not local.
    """
    if not is_local(address):
        raise UsageError(f"{address} must be a local path")
    return Path(address.removeprefix("file://"))


@contextlib.contextmanager
def opened(
    address: str, *, bucket_only: bool = False, one_try: bool = False
) -> Iterator[tuple[fsspec.AbstractFileSystem, str]]:
    """Yields the file system that an address is on, and the path there.

    Args:
        address: A local path or a URI.
        bucket_only: True if only the bucket must exist, so that "not found" means the bucket.
        one_try: True if a failed request to a store is not repeated.

    Raises:
        PetalflowError: If a store fails within the block; Unavailable if it may work later. A missing or existing file
            raises FileNotFoundError or FileExistsError as on this machine.
        UsageError: If there is no file system for the address.
    """
    system, path = find_system(address, one_try=one_try)
    try:
        yield system, path
    except Exception as error:
        if isinstance(error, FileExistsError) or (isinstance(error, FileNotFoundError) and not bucket_only):
            raise
        failure = failures.translate(error, address)
        if failure is None:
            raise
        raise failure from error


def find_system(address: str, *, one_try: bool = False) -> tuple[fsspec.AbstractFileSystem, str]:
    """Returns the file system that an address is on, and the path there, without sending a request.

    Raises:
        UsageError: If there is no file system for the address.
    """
    if is_local(address):
        # Not by fsspec's parser, which reads "::" in a name as a chain of file systems.
        return LocalFileSystem(), os.path.abspath(local_path(address))
    scheme = address.split("://")[0]
    try:
        if scheme not in _EXTRAS:
            return url_to_fs(address)  # type: ignore[no-any-return]
        system = _open_store(scheme, one_try)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        remedy = f"pip install '.[{extra}]' in the checkout" if extra else " ".join(str(error).split())
        raise UsageError(f"{address} needs a package that is not installed: {remedy}") from None
    except ValueError as error:
        raise UsageError(f"{address} is not a valid address: {' '.join(str(error).split())}") from None
    # Not by the parser either: for gs:// it reads "#7" in a name as a generation.
    return system, address.split("://", 1)[1]


def _open_store(scheme: str, one_try: bool) -> fsspec.AbstractFileSystem:
    if scheme == "s3":
        from petalflow.storage.s3 import open_s3

        return open_s3(one_try=one_try)
    from petalflow.storage.gcs import open_gcs

    return open_gcs(one_try=one_try)


_PROBE = b"written by a check of Petalflow, and removed by it\n"


def check_readable(address: str) -> None:
    """Checks that a folder of an object store can be listed, whether it holds anything or not.

    Args:
        address: The folder; a local one is not checked.

    Raises:
        UsageError: If the store cannot be reached or denies reading, or the bucket does not exist; with the remedy.
    """
    if is_local(address):
        return
    try:
        with opened(address, bucket_only=True, one_try=True) as (system, path):
            system.find(_probe(path))  # the cheapest listing, which fails as any other would
    except PetalflowError as error:
        raise UsageError(str(error)) from error


def check_writable(address: str) -> None:
    """Checks that a folder can be made or written; on an object store by writing, reading and removing a small object.

    Args:
        address: The folder; it need not exist.

    Raises:
        UsageError: If it cannot; with the remedy.
    """
    if is_local(address):
        _check_local(address)
        return
    try:
        with opened(address, bucket_only=True, one_try=True) as (system, path):
            probe = _probe(path)
            system.pipe_file(probe, _PROBE)
            system.cat_file(probe)
            system.rm_file(probe)
    except PetalflowError as error:
        raise UsageError(str(error)) from error


def _probe(folder: str) -> str:
    return f"{folder.rstrip('/')}/.check-{secrets.token_hex(8)}"


def _check_local(address: str) -> None:
    folder = local_path(address)
    while not os.path.lexists(folder):  # a broken link exists, and is in the way
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{address} cannot be written ({folder} is not a writable folder); choose another")
