"""Folders that are either complete or visibly not: a marker, written last, that lists every file.

A folder is not renamed into place because the places that pipelines write to (object
stores mounted as folders) cannot do that; a marker works everywhere.
"""

import contextlib
import errno
import fcntl
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from petalflow.errors import PetalflowError, UsageError
from petalflow.storage.files import copy_tree, has_files, is_file, join, list_files, read_bytes, remove, write_json
from petalflow.storage.systems import is_local, local_path

log = logging.getLogger(__name__)

MARKER = "complete.json"
_BEING_BUILT: dict[str, object] = {}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def building(out: str | Path) -> Iterator[Path]:
    """Makes a folder and marks it complete when the block ends well; else leaves nothing behind.

    What an earlier, killed attempt left there is cleared away first. The block is given the folder to fill. At a
    URI that is a temporary one on this machine, whose files are copied there when the block ends, beside what
    others wrote there meanwhile.

    Raises:
        PetalflowError: If there is no room for it.
        UsageError: If something else is already there: nothing of anybody's is overwritten.
    """
    address = str(out)
    check_free(address)
    if _holds_anything(address):
        _clear(address)
    try:
        if is_local(address):
            local_path(address).mkdir(parents=True, exist_ok=True)
        write_json(join(address, MARKER), _BEING_BUILT)  # lets the next attempt clear it away
        lock = _lock(address)
    except OSError as error:
        raise UsageError(f"cannot write to {address}: {error.strerror or error}; choose another --out") from None
    try:
        with _filled(address) as folder:
            yield folder
        _mark(address)
    except BaseException as error:
        _clear(address)
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise PetalflowError(
                f"cannot write {address}: {error.strerror}; make room or choose another place"
            ) from error
        raise
    finally:
        lock.close()


def check_free(out: str | Path) -> None:
    """Checks that `building` may make a folder: that nothing is there, or what an earlier, killed attempt left.

    Raises:
        UsageError: If something else is there, or another process writes it.
    """
    address = str(out)
    if is_file(address):
        raise UsageError(f"{address} is a file; choose another --out")
    if not _holds_anything(address):
        return
    if _is_locked(address):
        raise UsageError(f"{address} is being written by another process; wait for it, or choose another --out")
    ours = _read_marker(address) == _BEING_BUILT or (_sizes(address) is not None and not is_complete(address))
    if not ours:
        raise UsageError(f"{address} already holds something; remove it or choose another --out")


def is_complete(folder: str | Path) -> bool:
    """Tells whether a folder was finished and still has every file, at its size."""
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
        raise PetalflowError(f"{folder} is not a complete {what} ({why}); make it again")
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
    """Returns what the marker lists, or None if it is not a whole marker of ours."""
    marker = _read_marker(address)
    sizes = marker.get("files") if isinstance(marker, dict) else None
    return sizes if isinstance(sizes, dict) else None


def _read_marker(address: str) -> object:
    try:
        return json.loads(read_bytes(join(address, MARKER)))
    except (OSError, ValueError):
        return None


def _lock(address: str) -> contextlib.ExitStack:
    """Returns what holds a lock on a local folder's marker until it is closed, or this process ends.

    Raises:
        UsageError: If another process has it.
    """
    held = contextlib.ExitStack()
    if is_local(address):
        file = held.enter_context((local_path(address) / MARKER).open("rb"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.close()
            raise UsageError(f"{address} is being written by another process; choose another --out") from None
        except OSError as error:  # mounted object stores know no locks
            log.debug("no lock on %s: %s", address, error)
    return held


def _is_locked(address: str) -> bool:
    if not is_local(address) or not is_file(join(address, MARKER)):
        return False
    try:
        _lock(address).close()
    except UsageError:
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
                if path.name != MARKER:  # which goes last: without it, what is left would be somebody else's
                    remove(str(path))
        shutil.rmtree(local_path(address), ignore_errors=True)
        return
    with contextlib.suppress(PetalflowError):  # what failed is said; the next attempt clears it away
        remove(address)
