"""Folders that are either complete or visibly not: a marker, written last, that lists every file.

A folder is not renamed into place because the places that pipelines write to (object
stores mounted as folders) cannot do that; a marker works everywhere.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from petalflow.errors import PetalflowError, UsageError
from petalflow.storage.files import list_files, write_json

MARKER = "complete.json"
_BEING_BUILT: dict[str, object] = {}


@contextlib.contextmanager
def building(out: str | Path) -> Iterator[Path]:
    """Makes a folder and marks it complete when the block ends well; else leaves nothing behind.

    What an earlier, killed attempt left there is cleared away first.

    Raises:
        UsageError: If something else is already there: nothing of anybody's is overwritten.
    """
    folder = Path(out)
    _clear_unfinished(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(str(folder / MARKER), _BEING_BUILT)  # lets the next attempt clear it away
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror or error}; choose another --out") from None
    try:
        yield folder
        _mark(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def is_complete(folder: str | Path) -> bool:
    """Tells whether a folder was finished and still has every file, at its size."""
    return not _missing(Path(folder))


def check_complete(folder: str | Path, what: str) -> None:
    """Checks a step's input.

    Args:
        folder: The folder that `building` made.
        what: What it should be, for the message.

    Raises:
        PetalflowError: If it is not there, was not finished, or lacks a file.
    """
    missing = _missing(Path(folder))
    if missing:
        raise PetalflowError(f"{folder} is not a complete {what} ({missing}); make it again")


def _mark(folder: Path) -> None:
    sizes = {file.name: file.size_bytes for file in list_files(str(folder)) if file.name != MARKER}
    write_json(str(folder / MARKER), {"files": sizes})


def _missing(folder: Path) -> str:
    if not (folder / MARKER).is_file():
        return f"it has no {MARKER}"
    sizes = _sizes(folder)
    if sizes is None:
        return "it was not finished"
    wrong = [name for name, size in sizes.items() if not _has_size(folder / name, size)]
    return f"{wrong[0]} is missing or cut short" if wrong else ""


def _sizes(folder: Path) -> dict[str, int] | None:
    """Returns what the marker lists, or None if it is not a whole marker of ours."""
    marker = _read_marker(folder)
    sizes = marker.get("files") if isinstance(marker, dict) else None
    return sizes if isinstance(sizes, dict) else None


def _read_marker(folder: Path) -> object:
    try:
        return json.loads((folder / MARKER).read_bytes())
    except (OSError, ValueError):
        return None


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _clear_unfinished(folder: Path) -> None:
    if folder.is_file():
        raise UsageError(f"{folder} is a file; choose another --out")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    ours = _read_marker(folder) == _BEING_BUILT or (_sizes(folder) is not None and not is_complete(folder))
    if not ours:
        raise UsageError(f"{folder} already holds something; remove it or choose another --out")
    shutil.rmtree(folder)
