"""Whether a place can be read and written, said before work starts and without waiting for what will not come."""

import os
import secrets

from petalflow.errors import PetalflowError, UsageError
from petalflow.storage.systems import is_local, local_path, opened

_CONTENT = b"written by a check of Petalflow, and removed by it\n"


def check_readable(address: str) -> None:
    """Checks that a folder of an object store can be listed, whether anything is there or not.

    Args:
        address: The folder; a local one is not looked at.

    Raises:
        UsageError: With the remedy, if the store cannot be reached or does not let us read, or if the bucket is absent.
    """
    if is_local(address):
        return
    try:
        with opened(address, bucket_only=True, one_try=True) as (system, path):
            system.find(_probe(path))  # the cheapest listing there is, and one that fails as any other would
    except PetalflowError as error:
        raise UsageError(str(error)) from error


def check_writable(address: str) -> None:
    """Checks that a folder can be made or written; on an object store by writing, reading and removing a small object.

    Args:
        address: The folder; it need not be there yet.

    Raises:
        UsageError: With the remedy, if it cannot.
    """
    if is_local(address):
        _check_local(address)
        return
    try:
        with opened(address, bucket_only=True, one_try=True) as (system, path):
            probe = _probe(path)
            system.pipe_file(probe, _CONTENT)
            system.cat_file(probe)
            system.rm_file(probe)
    except PetalflowError as error:
        raise UsageError(str(error)) from error


def _probe(folder: str) -> str:
    return f"{folder.rstrip('/')}/.check-{secrets.token_hex(8)}"


def _check_local(address: str) -> None:
    folder = local_path(address)
    while not os.path.lexists(folder):  # a link to nowhere is there, and in the way
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{address} cannot be written ({folder} is no writable folder); choose another")
