"""What a training needs to go on after it was killed: one file, replaced whole at each epoch."""

import hashlib
import io
import json
import logging
import zipfile
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from petalflow import storage
from petalflow.errors import PetalflowError

log = logging.getLogger(__name__)

_FILE = "checkpoint.npz"
_HISTORY = "history"

Arrays = list[NDArray[np.generic]]


@dataclass
class TrainingState:
    """How far a training has come.

    Attributes:
        history: Name of a figure -> its value in each epoch so far.
        model: The model's variables, random state included.
        optimizer: The optimizer's variables.
        best: The model's variables at the best epoch so far.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    model: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return len(self.history.get("val_loss", []))

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest validation loss, from 0; an epoch whose loss is no number is never it.

        Raises:
            PetalflowError: If no epoch's loss is a number.
        """
        losses = np.array(self.history["val_loss"])
        if not np.isfinite(losses).any():
            raise PetalflowError("the validation loss is not a number; train with a lower train.learning_rate")
        return int(np.nanargmin(np.where(np.isfinite(losses), losses, np.nan)))


def training_uri(state_uri: str, fingerprint: str, train_config: str, code_version: str) -> str:
    """Returns where the state of a training is: the same for the same inputs, whatever the run."""
    digest = hashlib.sha256("\n".join((fingerprint, train_config, code_version)).encode()).hexdigest()
    return storage.join(state_uri, "train", digest[:16])


def save(uri: str, state: TrainingState) -> None:
    """Writes a state to a folder, replacing the one before."""
    parts = {"model": state.model, "optimizer": state.optimizer, "best": state.best}
    arrays = {f"{part}-{index}": array for part, of in parts.items() for index, array in enumerate(of)}
    buffer = io.BytesIO()
    np.savez(buffer, **{_HISTORY: np.array(json.dumps(state.history))}, **arrays)  # type: ignore[arg-type]
    storage.write_bytes(storage.join(uri, _FILE), buffer.getvalue())


def load(uri: str) -> TrainingState | None:
    """Returns the state in a folder, or None if there is none that can be read."""
    address = storage.join(uri, _FILE)
    if not storage.exists(address):
        return None
    try:
        with np.load(io.BytesIO(storage.read_bytes(address)), allow_pickle=False) as arrays:
            parts: dict[str, Arrays] = {"model": [], "optimizer": [], "best": []}
            for name in arrays.files:  # in the order they were written
                if name != _HISTORY:
                    parts[name.partition("-")[0]].append(arrays[name])
            return TrainingState(json.loads(str(arrays[_HISTORY])), **parts)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        log.warning("the checkpoint %s cannot be read (%s); training starts anew", address, error)
        return None


def remove(uri: str) -> None:
    """Removes the state: the training is done."""
    storage.remove(uri)
