"""Keeping what a training needs to go on: written whole, verified, the one before kept."""

import dataclasses
import hashlib
import io
import json
import logging
import re
import zipfile
from typing import Any

import numpy as np

from components.train.state import Arrays, Sums, TrainingState
from petalflow import storage
from petalflow.errors import PetalflowError

log = logging.getLogger(__name__)

HISTORY = "history.json"
_NAME = re.compile(r"checkpoint-(\d{8})\.npz")
_KEPT = 2
_FIELDS = "fields"
_PARTS = ("model", "optimizer", "best")


def training_uri(state_uri: str, fingerprint: str, train_config: str, code_version: str, baseline: str = "") -> str:
    """Returns where the state of a training is: the same for the same inputs, whatever the run."""
    inputs = (fingerprint, train_config, code_version, *filter(None, [baseline]))
    return storage.join(state_uri, "train", hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:16])


def save(uri: str, state: TrainingState) -> None:
    """Writes a state to a folder, beside the one before, and history.json."""
    numbers = _numbers(uri)
    number = (numbers[-1] if numbers else 0) + 1
    storage.write_bytes(storage.join(uri, _name(number)), to_bytes(state))
    storage.write_json(storage.join(uri, HISTORY), state.history)
    for old in numbers[: 1 - _KEPT]:
        storage.remove(storage.join(uri, _name(old)))


def load(uri: str) -> TrainingState | None:
    """Returns the newest state in a folder that can be read, or None; one that cannot is said."""
    for number in reversed(_numbers(uri)):
        try:
            return from_bytes(storage.read_bytes(storage.join(uri, _name(number))))
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, PetalflowError) as error:
            log.warning("checkpoint %s cannot be read (%s); trying the one before", _name(number), error)
    return None


def remove(uri: str) -> None:
    """Removes a state whose training has ended."""
    storage.remove(uri)


def to_bytes(state: TrainingState) -> bytes:
    """Returns a state as the bytes of an .npz file, whose parts have checksums."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state) if field.name not in _PARTS}
    fields["sums"] = dataclasses.asdict(state.sums)
    arrays = {f"{part}-{index}": array for part in _PARTS for index, array in enumerate(getattr(state, part))}
    buffer = io.BytesIO()
    np.savez(buffer, **{_FIELDS: np.array(json.dumps(fields))}, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def from_bytes(data: bytes) -> TrainingState:
    """Returns the state that `to_bytes` wrote.

    Raises:
        ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile: If it is damaged.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        parts: dict[str, Arrays] = {part: [] for part in _PARTS}
        for name in arrays.files:  # in the order they were written
            if name != _FIELDS:
                parts[name.partition("-")[0]].append(arrays[name])
        fields = json.loads(str(arrays[_FIELDS]))
    values: dict[str, Any] = {**fields, **parts, "sums": Sums(**fields["sums"])}
    return TrainingState(**values)


def _name(number: int) -> str:
    return f"checkpoint-{number:08d}.npz"


def _numbers(uri: str) -> list[int]:
    names = [file.name for file in storage.list_files(uri, deep=False)]
    return sorted(int(match[1]) for match in map(_NAME.fullmatch, names) if match)
