"""Checkpoints: the state of a training, written atomically, verified by hash, the last two kept.

    <state>/checkpoint-00000011-<sha256>.npz     the previous one
    <state>/checkpoint-00000012-<sha256>.npz     the newest; its name contains the hash of its bytes
    <state>/history.json                         the metrics of the epochs, for people

A local folder is written to immediately, a remote one in the background.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import numpy as np

from components.train.state import Arrays, Sums, TrainingState
from petalflow import storage
from petalflow.errors import PetalflowError, UsageError

log = logging.getLogger(__name__)

_Item = TypeVar("_Item")


class LatestWriter(Generic[_Item]):
    """Hands the newest item to a function in a thread; of the items that arrive meanwhile, only the last is kept.

    If an item cannot be written, the thread tries again until a newer item arrives.
    """

    def __init__(self, write: Callable[[_Item], bool], retry_s: float = 10.0) -> None:
        """Starts the thread.

        Args:
            write: Writes an item; returns False if it could not.
            retry_s: Seconds between two attempts.
        """
        self._write, self._retry_s = write, retry_s
        self._changed = threading.Condition()
        self._next: _Item | None = None
        self._working = self._hurrying = self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="latest-writer")
        self._thread.start()

    def put(self, item: _Item) -> None:
        """Replaces the waiting item."""
        with self._changed:
            self._next = item
            self._changed.notify_all()

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Waits until the newest item is written or an attempt failed; returns True if it is written."""
        with self._changed:
            self._hurrying = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._hurrying or self._is_idle(), timeout_s)
            self._hurrying = False
            return self._is_idle()

    def close(self) -> None:
        """Ends the thread after the current attempt."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_idle(self) -> bool:
        return self._next is None and not self._working

    def _work(self) -> None:
        while (item := self._take_next()) is not None:
            try:
                written = self._write(item)
            except Exception:  # a defect must not end the thread unnoticed
                log.exception("the newest checkpoint cannot be written")
                written = False
            with self._changed:
                self._working = False
                if not written and self._next is None:
                    self._next = item
                    self._hurrying = False  # nothing newer has arrived: end the wait in flush
                self._changed.notify_all()
                if self._next is item:
                    self._changed.wait(self._retry_s)  # or until a newer item arrives or flush is called

    def _take_next(self) -> _Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._next is not None or self._closed)
            if self._closed:
                return None
            item, self._next, self._working = self._next, None, True
            return item


HISTORY = "history.json"
# Folder of the features of frozen layers, next to the checkpoints.
FEATURES = "checkpoint-features"
_NAME = re.compile(r"checkpoint-(?P<number>[0-9]{8})-(?P<sha256>[0-9a-f]{64})\.npz")
_UNFINISHED = ".unfinished"
_KEPT = 2
_FIELDS = "fields"
_PARTS = ("model", "optimizer", "best", "trained")
# Fields that earlier versions named otherwise; files keep those names.
_NAMES_IN_FILES = {"best_value": "best_figure"}
_SUMS_IN_FILES = {"correct": "right"}


def training_uri(state_uri: str, dataset: str, train_config: str, code_version: str, warm_start_uri: str = "") -> str:
    """Returns the address of a training's state; it depends on the inputs (`dataset` is a hash), not on the run."""
    inputs = (dataset, train_config, code_version, *filter(None, [warm_start_uri]))
    return storage.join(state_uri, "train", hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:16])


class Checkpoints:
    """The checkpoints of a training in a folder.

    If a state cannot be written, that is logged once and tried again with the next state: losing a checkpoint must not
    end a training.
    """

    def __init__(self, uri: str) -> None:
        """Lists the checkpoints in a folder.

        Raises:
            UsageError: If a local folder cannot be created.
            PetalflowError: If a remote folder cannot be listed.
        """
        self.uri = uri
        self._names = _names(uri)
        self._warned = False
        self._background = None if storage.is_local(uri) else LatestWriter(self._write)
        if storage.is_local(uri):
            _clear_unfinished(storage.local_path(uri))

    @property
    def found(self) -> bool:
        """True if there is a checkpoint, readable or not."""
        return bool(self._names)

    def states(self) -> Iterator[TrainingState]:
        """Yields the states that can be read, newest first; logs those that cannot."""
        for name in reversed(tuple(self._names)):
            try:
                yield _read(storage.join(self.uri, name), name)
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("checkpoint %s cannot be read: %s; trying the previous one", name, error)
                self._names.sort(key=name.__ne__)  # to be removed first

    def save(self, state: TrainingState) -> None:
        """Saves a state as it is now; to a remote folder, in the background."""
        if self._background is None:
            self._write(state)
        else:  # copy the lists, which keep growing; arrays are never written to
            history = {name: list(values) for name, values in state.history.items()}
            self._background.put(dataclasses.replace(state, history=history, notes=list(state.notes)))

    def flush(self) -> None:
        """Waits until the newest state is written or an attempt failed."""
        if self._background is not None and not self._background.flush():
            log.warning("the newest checkpoint could not be written to %s", self.uri)

    def remove(self) -> None:
        """Removes all checkpoints."""
        self.flush()
        self._names.clear()
        remove_checkpoints(self.uri)

    def close(self) -> None:
        """Waits for the state that is being written."""
        self.flush()
        if self._background is not None:
            self._background.close()

    def _write(self, state: TrainingState) -> bool:
        """Writes a state and the history, and removes all but the previous one; returns False if it could not."""
        number = 1 + max((int(name.split("-")[1]) for name in self._names), default=0)
        try:
            name = _write_local(storage.local_path(self.uri), number, state) if storage.is_local(self.uri) else ""
            self._names.append(name or _write_remote(self.uri, number, state))
            while len(self._names) > _KEPT:
                storage.remove(storage.join(self.uri, self._names[0]))
                del self._names[0]
        except (OSError, PetalflowError) as error:
            if not self._warned:
                log.warning("cannot write a checkpoint to %s: %s; training continues and tries again", self.uri, error)
            self._warned = True
            return False
        if self._warned:
            log.info("checkpoints are written to %s again", self.uri)
        self._warned = False
        return True


@contextlib.contextmanager
def open_checkpoints(uri: str | None) -> Iterator[Checkpoints | None]:
    """Yields the checkpoints in a folder, or None without one; when the block ends, all of them are written."""
    if uri is None:
        yield None
        return
    checkpoints = Checkpoints(uri)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def remove_checkpoints(uri: str) -> None:
    """Removes the state of a finished training; the folder, too, unless it contains other files."""
    for name in (*_names(uri), HISTORY, FEATURES):
        storage.remove(storage.join(uri, name))
    if storage.is_local(uri):
        with contextlib.suppress(OSError):  # it is not empty
            storage.local_path(uri).rmdir()


def load_newest(uri: str) -> TrainingState | None:
    """Returns the newest readable state in a folder, or None."""
    return next(Checkpoints(uri).states(), None)


def _write_local(folder: Path, number: int, state: TrainingState) -> str:
    # Not synced to disk, which would slow the short epochs of a small head: if a power failure truncates the newest
    # checkpoint, its hash reveals it.
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"checkpoint-{number:08d}{_UNFINISHED}"
    history = folder / f"{HISTORY}{_UNFINISHED}"
    try:
        with unfinished.open("w+b") as file:
            name = _name(number, _dump(state, file))
        history.write_text(state.history_json())
        os.replace(unfinished, folder / name)
        os.replace(history, folder / HISTORY)
    finally:
        unfinished.unlink(missing_ok=True)
        history.unlink(missing_ok=True)
    return name


def _write_remote(uri: str, number: int, state: TrainingState) -> str:
    with tempfile.TemporaryFile() as file:  # has no name, so that even SIGKILL leaves nothing behind
        sha256 = _dump(state, file)
        address = storage.join(uri, _name(number, sha256))
        file.seek(0)
        with storage.open_file(address, "wb") as there:
            shutil.copyfileobj(file, there, 4 << 20)
    with storage.open_file(address) as there:
        if hashlib.file_digest(there, "sha256").hexdigest() != sha256:  # type: ignore[arg-type]
            raise PetalflowError(f"{address} does not contain what was written to it")
    storage.write_bytes(storage.join(uri, HISTORY), state.history_json().encode())
    return _name(number, sha256)


def _dump(state: TrainingState, file: IO[bytes]) -> str:
    """Writes a state to an empty file, as .npz, and returns the hash of what is read back from it."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state) if field.name not in _PARTS}
    fields["sums"] = _renamed(dataclasses.asdict(state.sums), _SUMS_IN_FILES)
    fields = _renamed(fields, _NAMES_IN_FILES)
    arrays = {f"{part}-{index}": array for part in _PARTS for index, array in enumerate(getattr(state, part))}
    np.savez(file, **{_FIELDS: np.array(json.dumps(fields))}, **arrays)  # type: ignore[arg-type]
    file.flush()
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _read(address: str, name: str) -> TrainingState:
    """Returns the state in a checkpoint.

    Raises:
        ValueError: If it is damaged.
        KeyError, TypeError: If an incompatible version of this project wrote it.
        OSError: If it does not exist.
    """
    with storage.local_file(address) as path, path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != name.rpartition("-")[2].removesuffix(".npz"):
            raise ValueError("it is damaged: its hash differs from that in its name")
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            parts: dict[str, Arrays] = {part: [] for part in _PARTS}
            for key in arrays.files:  # in the order they were written
                if key != _FIELDS:
                    parts[key.partition("-")[0]].append(arrays[key])
            fields = json.loads(str(arrays[_FIELDS]))
    fields = _renamed(fields, {old: new for new, old in _NAMES_IN_FILES.items()})
    sums = _renamed(fields["sums"], {old: new for new, old in _SUMS_IN_FILES.items()})
    values: dict[str, Any] = {**fields, **parts, "sums": Sums(**sums)}
    return TrainingState(**values)


def _renamed(values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}


def _clear_unfinished(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"*{_UNFINISHED}"):
            left.unlink()
    except OSError as error:
        raise UsageError(f"cannot write checkpoints to {folder}: {error.strerror}; choose another folder") from None


def _name(number: int, sha256: str) -> str:
    return f"checkpoint-{number:08d}-{sha256}.npz"


def _names(uri: str) -> list[str]:
    """Returns the names of the checkpoints in a folder, oldest first."""
    return [file.name for file in storage.list_files(uri, deep=False) if _NAME.fullmatch(file.name)]
