"""Which file system an address is on."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from petalflow.errors import UsageError
from petalflow.storage import failures

# The extra of setup.py that brings a scheme's file system.
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3"}


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


@contextlib.contextmanager
def opened(
    address: str, *, bucket_only: bool = False, one_try: bool = False
) -> Iterator[tuple[fsspec.AbstractFileSystem, str]]:
    """Gives the file system that an address is on, and the path there.

    Args:
        address: A local path or a URI.
        bucket_only: Whether nothing but the bucket need be there, so that it is what is not found.
        one_try: Whether a request to a store that fails is not repeated.

    Raises:
        PetalflowError: If a store fails within the block; Unavailable if it may do better later. What is absent
            or there already raises FileNotFoundError or FileExistsError as on this machine.
        UsageError: If no file system for the address is known here.
    """
    system, path = system_of(address, one_try=one_try)
    try:
        yield system, path
    except Exception as error:
        if isinstance(error, FileExistsError) or (isinstance(error, FileNotFoundError) and not bucket_only):
            raise
        failure = failures.failure(error, address)
        if failure is None:
            raise
        raise failure from error


def system_of(address: str, *, one_try: bool = False) -> tuple[fsspec.AbstractFileSystem, str]:
    """Returns the file system that an address is on, and the path there; nothing is asked of the place itself.

    Raises:
        UsageError: If no file system for the address is known here.
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
        raise UsageError(f"{address} is no address that can be read: {' '.join(str(error).split())}") from None
    # Nor by the parser: for gs:// it reads "#7" in a name as a generation.
    return system, address.split("://", 1)[1]


def _open_store(scheme: str, one_try: bool) -> fsspec.AbstractFileSystem:
    if scheme == "s3":
        from petalflow.storage.s3 import open_s3

        return open_s3(one_try=one_try)
    from petalflow.storage.gcs import open_gcs

    return open_gcs(one_try=one_try)
