"""Folders that are either complete or visibly not: a marker, written last, lists every file.

A folder is not renamed into place, because object stores that are mounted as folders cannot do that; a marker works
everywhere.
"""

import contextlib
import fcntl
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from petalflow.errors import PetalflowError, UnusableOutput
from petalflow.storage.failures import no_room
from petalflow.storage.files import copy_tree, has_files, is_file, join, list_files, read_bytes, remove, write_json
from petalflow.storage.systems import is_local, local_path

log = logging.getLogger(__name__)

MARKER = "complete.json"
_BEING_BUILT: dict[str, object] = {}


@contextlib.contextmanager
def building(out: str | Path) -> Iterator[Path]:
    """Makes a folder and marks it complete when the block succeeds; if it fails, leaves nothing behind.

    What an earlier, killed attempt left there is removed first. The block gets the folder to fill: for a URI, this is a
    temporary folder on this machine, whose files are copied when the block ends. Files that others have written to the
    URI in the meantime are kept.

    Raises:
        PetalflowError: If the disk is full.
        UnusableOutput: If something else is already there: nobody's files are overwritten.
    """
    address = str(out)
    check_free(address)
    if _holds_anything(address):
        _clear(address)
    try:
        if is_local(address):
            local_path(address).mkdir(parents=True, exist_ok=True)
        write_json(join(address, MARKER), _BEING_BUILT)  # so that the next attempt may clear it away
        lock = _lock(address)
    except OSError as error:
        raise UnusableOutput(f"{address} cannot be written: {error.strerror or error}; choose another folder") from None
    try:
        with _filled(address) as folder:
            yield folder
        _mark(address)
    except BaseException as error:
        _clear(address)
        if full := no_room(error, address):
            raise full from error
        raise
    finally:
        lock.close()


def check_free(out: str | Path) -> None:
    """Checks that `building` may make a folder: nothing is there but what an earlier, killed attempt left.

    Raises:
        UnusableOutput: If something else is there, or another process is writing it.
    """
    address = str(out)
    if is_file(address):
        raise UnusableOutput(f"{address} is a file; choose a folder")
    if not _holds_anything(address):
        return
    if _is_locked(address):
        raise UnusableOutput(f"{address} is being written by another process; wait for it, or choose another folder")
    ours = _read_marker(address) == _BEING_BUILT or (_sizes(address) is not None and not is_complete(address))
    if not ours:
        raise UnusableOutput(f"{address} is not empty; remove it, or choose another folder")


def is_complete(folder: str | Path) -> bool:
    """Returns True if a folder was finished and still has every file, at its size."""
    return not why_incomplete(folder)


def check_complete(folder: str | Path, what: str, file: str = MARKER) -> None:
    """Checks a step's input.

    Args:
        folder: The folder that `building` made.
        what: What it should be, for the message.
        file: Name of a file that only a folder of this kind has.

    Raises:
        PetalflowError: If it is not there, was not finished, lacks a file, or is of another kind.
    """
    if why := why_incomplete(folder):
        raise PetalflowError(f"{folder} is not a complete {what} ({why}); correct the address, or create it again")
    if not is_file(join(str(folder), file)):
        raise PetalflowError(f"{folder} is complete but not a {what}: it has no {file}")


def why_incomplete(folder: str | Path) -> str:
    """Returns what a folder lacks to be complete, or "" if it is complete."""
    address = str(folder)
    if not is_file(join(address, MARKER)):
        return f"it has no {MARKER}" if _holds_anything(address) else "nothing is there"
    sizes = _sizes(address)
    if sizes is None:
        return "it was not finished"
    there = {file.name: file.size_bytes for file in list_files(address)}
    wrong = [name for name, size in sizes.items() if there.get(name) != size]
    return f"{wrong[0]} is missing or cut short" if wrong else ""


@contextlib.contextmanager
def _filled(address: str) -> Iterator[Path]:
    if is_local(address):
        yield local_path(address)
        return
    with tempfile.TemporaryDirectory(prefix="petalflow-") as folder:
        yield Path(folder)
        copy_tree(folder, address)


def _mark(address: str) -> None:
    sizes = {file.name: file.size_bytes for file in list_files(address) if file.name != MARKER}
    write_json(join(address, MARKER), {"files": sizes})


def _sizes(address: str) -> dict[str, int] | None:
    """Returns file name -> size in bytes, or None if the marker is not a complete one of ours."""
    marker = _read_marker(address)
    sizes = marker.get("files") if isinstance(marker, dict) else None
    return sizes if isinstance(sizes, dict) else None


def _read_marker(address: str) -> object:
    try:
        return json.loads(read_bytes(join(address, MARKER)))
    except (OSError, ValueError):
        return None


def _lock(address: str) -> contextlib.ExitStack:
    """Returns a lock on a local folder's marker, held until it is closed or this process ends.

    Raises:
        UnusableOutput: If another process holds it.
    """
    held = contextlib.ExitStack()
    if is_local(address):
        file = held.enter_context((local_path(address) / MARKER).open("rb"))
        try:
            # Not by filelock, whose lock file would be among the folder's own files.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.close()
            raise UnusableOutput(f"{address} is being written by another process; choose another folder") from None
        except OSError as error:  # mounted object stores have no locks
            log.debug("cannot lock %s: %s", address, error)
    return held


def _is_locked(address: str) -> bool:
    if not is_local(address) or not is_file(join(address, MARKER)):
        return False
    try:
        _lock(address).close()
    except UnusableOutput:
        return True
    return False


def _holds_anything(address: str) -> bool:
    if not is_local(address):
        return has_files(address)
    folder = local_path(address)
    return folder.is_dir() and any(folder.iterdir())


def _clear(address: str) -> None:
    if is_local(address):
        with contextlib.suppress(OSError):
            for path in local_path(address).iterdir():
                if path.name != MARKER:  # it goes last: without it, the rest would look like somebody else's
                    remove(str(path))
        shutil.rmtree(local_path(address), ignore_errors=True)
        return
    with contextlib.suppress(PetalflowError):  # the original error is reported; the next attempt clears it away
        remove(address)
