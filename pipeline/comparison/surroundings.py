"""What an evaluation was made from: it names neither, so both are looked for near it, and known by their hashes.

By hand, model and dataset lie beside the evaluation as a rule; in the folder of a run, where the steps make them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from petalflow.dataset import Dataset, open_dataset
from petalflow.errors import PetalflowError
from petalflow.model.files import model_sha256, read_model_info

_EVALUATION, _MODEL, _DATASET = "evaluate/evaluation", "train/model", "convert/dataset"


def settings_of(evaluation: Path, sha256: str) -> Mapping[str, Any] | None:
    """Returns the settings that a model was trained with, or None if it is not at hand.

    Args:
        evaluation: The evaluation's folder.
        sha256: Of the model that it judged.
    """
    for folder in _near(evaluation, _MODEL):
        try:
            if model_sha256(folder) == sha256:
                return dict(read_model_info(folder)["settings"])
        except (PetalflowError, OSError):  # another thing, or one that may not be read
            continue
    return None


def dataset_of(evaluation: Path, fingerprint: str) -> Dataset | None:
    """Returns the dataset that a model was judged on, or None if it is not at hand.

    Args:
        evaluation: The evaluation's folder.
        fingerprint: Of the dataset.
    """
    for folder in _near(evaluation, _DATASET):
        try:
            dataset = open_dataset(folder)
        except (PetalflowError, OSError):  # another thing, one that was not finished, or one that may not be read
            continue
        if dataset.fingerprint == fingerprint:
            return dataset
    return None


def _near(evaluation: Path, made: str) -> Iterator[Path]:
    """Yields the folders beside an evaluation; in a run's folder, those that a step of any of its runs made."""
    if evaluation.as_posix().endswith(f"/{_EVALUATION}"):
        yield from sorted(evaluation.parents[2].glob(f"*/{made}"), reverse=True)  # the newest first
    else:
        yield from sorted(path for path in evaluation.parent.iterdir() if path.is_dir())
