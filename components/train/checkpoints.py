"""Keeping what a training needs to go on: written whole, verified, the one before kept.

    <state>/checkpoint-00000011-<sha256>.npz     the one before
    <state>/checkpoint-00000012-<sha256>.npz     the newest; its name has the hash of what is in it
    <state>/history.json                         the figures of the epochs, for people

A folder of this machine is written to at once, a remote one in the background.
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


class Newest(Generic[_Item]):
    """Hands the newest item to a function, in a thread; those that came while it worked but for the last are left out.

    An item that could not be kept is tried again every so often, until a newer one comes.
    """

    def __init__(self, keep: Callable[[_Item], bool], retry_s: float = 10.0) -> None:
        """Starts the thread.

        Args:
            keep: Keeps an item; tells whether it could.
            retry_s: Seconds between two tries.
        """
        self._keep, self._retry_s = keep, retry_s
        self._changed = threading.Condition()
        self._next: _Item | None = None
        self._working = self._hurrying = self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="keep-newest")
        self._thread.start()

    def put(self, item: _Item) -> None:
        """Takes an item in place of the one before, if that still waits."""
        with self._changed:
            self._next = item
            self._changed.notify_all()

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Waits until the newest item is kept, or could not be at once; tells whether it is."""
        with self._changed:
            self._hurrying = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._hurrying or self._is_idle(), timeout_s)
            self._hurrying = False
            return self._is_idle()

    def close(self) -> None:
        """Ends the thread after what it does now."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_idle(self) -> bool:
        return self._next is None and not self._working

    def _work(self) -> None:
        while (item := self._taken()) is not None:
            try:
                kept = self._keep(item)
            except Exception:  # a defect: it must not end the thread unseen
                log.exception("what is to be kept cannot be")
                kept = False
            with self._changed:
                self._working = False
                if not kept and self._next is None:
                    self._next = item
                    self._hurrying = False  # nothing newer is there: whoever waits has waited long enough
                self._changed.notify_all()
                if self._next is item:
                    self._changed.wait(self._retry_s)  # or until a newer one comes, or somebody waits

    def _taken(self) -> _Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._next is not None or self._closed)
            if self._closed:
                return None
            item, self._next, self._working = self._next, None, True
            return item


HISTORY = "history.json"
# Folder of what frozen layers gave, beside the states.
FEATURES = "checkpoint-features"
_NAME = re.compile(r"checkpoint-(?P<number>[0-9]{8})-(?P<sha256>[0-9a-f]{64})\.npz")
_UNFINISHED = ".unfinished"
_KEPT = 2
_FIELDS = "fields"
_PARTS = ("model", "optimizer", "best", "trained")


def training_uri(state_uri: str, dataset: str, train_config: str, code_version: str, baseline: str = "") -> str:
    """Returns where the state of a training is: the same for the same inputs, `dataset` a hash, whatever the run."""
    inputs = (dataset, train_config, code_version, *filter(None, [baseline]))
    return storage.join(state_uri, "train", hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:16])


class Checkpoints:
    """The states of a training in a folder.

    What cannot be written is said once, and tried again with the next state: a training is worth more than the
    means to take it up.
    """

    def __init__(self, uri: str) -> None:
        """Looks at what is in a folder.

        Raises:
            UsageError: If a local folder cannot be made.
            PetalflowError: If a store cannot be asked.
        """
        self.uri = uri
        self._names = _names(uri)
        self._said = False
        self._background = None if storage.is_local(uri) else Newest(self._write)
        if storage.is_local(uri):
            _clear_unfinished(storage.local_path(uri))

    @property
    def found(self) -> bool:
        """Whether there is any, readable or not."""
        return bool(self._names)

    def states(self) -> Iterator[TrainingState]:
        """Yields the states that can be read, the newest first; one that cannot is said."""
        for name in reversed(tuple(self._names)):
            try:
                yield _read(storage.join(self.uri, name), name)
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("checkpoint %s cannot be read: %s; trying the one before", name, error)
                self._names.sort(key=name.__ne__)  # to be removed first

    def save(self, state: TrainingState) -> None:
        """Keeps a state as it is now; one of a remote folder may still be on its way when this returns."""
        if self._background is None:
            self._write(state)
        else:  # lists that go on growing are copied; arrays are never written to
            history = {name: list(values) for name, values in state.history.items()}
            self._background.put(dataclasses.replace(state, history=history, notes=list(state.notes)))

    def flush(self) -> None:
        """Waits until the newest state is kept, or could not be."""
        if self._background is not None and not self._background.flush():
            log.warning("the newest checkpoint is not at %s", self.uri)

    def remove(self) -> None:
        """Removes them all."""
        self.flush()
        self._names.clear()
        remove_checkpoints(self.uri)

    def close(self) -> None:
        """Waits for what is still on its way."""
        self.flush()
        if self._background is not None:
            self._background.close()

    def _write(self, state: TrainingState) -> bool:
        """Writes a state and the history, and removes all but the one before; tells whether it could."""
        number = 1 + max((int(name.split("-")[1]) for name in self._names), default=0)
        try:
            name = _write_local(storage.local_path(self.uri), number, state) if storage.is_local(self.uri) else ""
            self._names.append(name or _write_remote(self.uri, number, state))
            while len(self._names) > _KEPT:
                storage.remove(storage.join(self.uri, self._names[0]))
                del self._names[0]
        except (OSError, PetalflowError) as error:
            if not self._said:
                log.warning("cannot keep a checkpoint at %s: %s; training goes on, and tries again", self.uri, error)
            self._said = True
            return False
        if self._said:
            log.info("checkpoints are kept at %s again", self.uri)
        self._said = False
        return True


@contextlib.contextmanager
def open_checkpoints(uri: str | None) -> Iterator[Checkpoints | None]:
    """Gives the states in a folder, None without one; when the block ends, what is on its way has arrived."""
    if uri is None:
        yield None
        return
    checkpoints = Checkpoints(uri)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def remove_checkpoints(uri: str) -> None:
    """Removes the states of a training that has ended; what else is in the folder stays, and then the folder too."""
    for name in (*_names(uri), HISTORY, FEATURES):
        storage.remove(storage.join(uri, name))
    if storage.is_local(uri):
        with contextlib.suppress(OSError):  # it is not empty
            storage.local_path(uri).rmdir()


def load_newest(uri: str) -> TrainingState | None:
    """Returns the newest state in a folder that can be read, or None."""
    return next(Checkpoints(uri).states(), None)


def _write_local(folder: Path, number: int, state: TrainingState) -> str:
    # Not synced to the disk, which an epoch of a small head has no time for: what a power failure takes of the newest
    # shows by its hash.
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
    with tempfile.TemporaryFile() as file:  # has no name, so that not even SIGKILL leaves it behind
        sha256 = _dump(state, file)
        address = storage.join(uri, _name(number, sha256))
        file.seek(0)
        with storage.open_file(address, "wb") as there:
            shutil.copyfileobj(file, there, 4 << 20)
    with storage.open_file(address) as there:
        if hashlib.file_digest(there, "sha256").hexdigest() != sha256:  # type: ignore[arg-type]
            raise PetalflowError(f"{address} does not hold what was written to it")
    storage.write_bytes(storage.join(uri, HISTORY), state.history_json().encode())
    return _name(number, sha256)


def _dump(state: TrainingState, file: IO[bytes]) -> str:
    """Writes a state to an empty file, as .npz, and returns the hash of what can be read back from it."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state) if field.name not in _PARTS}
    fields["sums"] = dataclasses.asdict(state.sums)
    arrays = {f"{part}-{index}": array for part in _PARTS for index, array in enumerate(getattr(state, part))}
    np.savez(file, **{_FIELDS: np.array(json.dumps(fields))}, **arrays)  # type: ignore[arg-type]
    file.flush()
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _read(address: str, name: str) -> TrainingState:
    """Returns a state.

    Raises:
        ValueError: If it is damaged.
        KeyError, TypeError: If another version of this project wrote it.
        OSError: If it is not there.
    """
    with storage.local_file(address) as path, path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != name.rpartition("-")[2].removesuffix(".npz"):
            raise ValueError("it is damaged, since it has not the hash that its name has")
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            parts: dict[str, Arrays] = {part: [] for part in _PARTS}
            for key in arrays.files:  # in the order they were written
                if key != _FIELDS:
                    parts[key.partition("-")[0]].append(arrays[key])
            fields = json.loads(str(arrays[_FIELDS]))
    values: dict[str, Any] = {**fields, **parts, "sums": Sums(**fields["sums"])}
    return TrainingState(**values)


def _clear_unfinished(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"*{_UNFINISHED}"):
            left.unlink()
    except OSError as error:
        raise UsageError(f"cannot keep checkpoints at {folder}: {error.strerror}; choose another --state") from None


def _name(number: int, sha256: str) -> str:
    return f"checkpoint-{number:08d}-{sha256}.npz"


def _names(uri: str) -> list[str]:
    """Returns the names of the checkpoints in a folder, the oldest first."""
    return [file.name for file in storage.list_files(uri, deep=False) if _NAME.fullmatch(file.name)]
