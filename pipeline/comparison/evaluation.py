"""Finding and reading an evaluation, and the model and the dataset that it was made from.

An evaluation records neither address, so both are searched for nearby and identified by their hashes: next to an
evaluation made by hand, or among the steps of a run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petalflow import storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.errors import PetalflowError, UsageError
from petalflow.model.files import model_sha256, read_model_info
from petalflow.settings import flat
from petalflow.verdict import METRICS_FILE, PREDICTIONS_FILE, REPORT_FILE, VERDICT_FILE
from pipeline.run_file import as_objects

Labels = frozenset[str]

_RUN_FILE = "run.json"
# In the folder of a run, the outputs of its steps.
_STEPS = "/steps/"
# Where the steps of a run put these, below the run's folder.
_EVALUATION, _MODEL, _DATASET = "evaluate/evaluation", "train/model", "convert/dataset"


@dataclass(frozen=True)
class EvaluationAddress:
    """Where an evaluation is.

    Attributes:
        name: The name by which the user chose it.
        report: Address of its report.
        evaluation: Address of the folder that evaluate wrote.
        train_settings: The training settings of its run; None outside a run.
    """

    name: str
    report: str
    evaluation: str
    train_settings: Mapping[str, Any] | None = None


def find_evaluation(name: str) -> EvaluationAddress:
    """Returns the evaluation in a folder: that of a run (`--out` of `petalflow run`), or of `petalflow evaluate`.

    Args:
        name: Path or URI of the folder.

    Raises:
        UsageError: If there is no evaluation in the folder.
    """
    run = _run_in(name)
    # A report in the folder may be left over from an earlier run.
    if run is not None and "report" not in run.get("results", {}):
        how = run.get("outcome") or "unfinished"
        raise UsageError(f"the run in {name} ({how}) did not evaluate a model; see `petalflow runs`")
    report, verdict = (storage.join(name, file) for file in (REPORT_FILE, VERDICT_FILE))
    if not (storage.is_file(report) and storage.is_file(verdict)):
        raise UsageError(f"no report found in {name}; give the --out folder of petalflow run or of petalflow evaluate")
    # A run's folder holds copies; its verdict names the folder of the evaluation.
    evaluation = storage.absolute(_evaluation(name, storage.read_json(verdict).get("evaluation", name)))
    settings = as_objects(run["parameters"])["train_config"] if run else None
    return EvaluationAddress(name, storage.absolute(report), evaluation, settings)


def _run_in(folder: str) -> dict[str, Any] | None:
    file = storage.join(folder, _RUN_FILE)
    return dict(storage.read_json(file)) if storage.is_file(file) else None


def _evaluation(folder: str, address: str) -> str:
    """Returns the address of an evaluation, even if the run's folder was moved."""
    made, _, below = address.rpartition(_STEPS)
    moved = storage.join(folder, _STEPS.strip("/"), below)
    return moved if made and not storage.exists(address) and storage.exists(moved) else address


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction of a model for one image.

    Attributes:
        filename: The image's address in the source.
        labels: Its labels.
        predicted: The predicted labels.
        score: The highest score, 0..1; None for several labels per image, each with a score of its own.
    """

    filename: str
    labels: Labels
    predicted: Labels
    score: float | None

    @property
    def correct(self) -> bool:
        """True if the prediction is correct; with several labels, if all are."""
        return self.labels == self.predicted


@dataclass(frozen=True)
class Evaluated:
    """The contents of an evaluation.

    Attributes:
        name: The name shown to the user.
        address: Its folder.
        verdict: The contents of verdict.json.
        metrics: The candidate's metrics, as in metrics.json.
        predictions: SHA-256 of an image's content -> the prediction, for every image of the test split.
        settings: The training settings by their full names; None if the model was not found.
    """

    name: str
    address: str
    verdict: Mapping[str, Any]
    metrics: Mapping[str, Any]
    predictions: Mapping[str, Prediction]
    settings: Mapping[str, Any] | None


def read_evaluation(address: str, name: str = "", settings: Mapping[str, Any] | None = None) -> Evaluated:
    """Reads the evaluation in a folder.

    Args:
        address: Path or URI of the folder that evaluate wrote.
        name: The name to show to the user; by default the address.
        settings: The training settings, if known; otherwise they are searched for next to the evaluation.

    Raises:
        UsageError: If it is missing or incomplete, or was written by a version with other metrics.
    """
    name = name or address
    if not storage.is_complete(address):
        raise UsageError(
            f"{name}: its evaluation {address} is missing or incomplete; run it again "
            "(keep.outputs sets how many runs keep their outputs)"
        )
    with storage.local_copy(address) as folder:
        verdict = storage.read_json(str(folder / VERDICT_FILE))
        written = storage.read_json(str(folder / METRICS_FILE))
        metrics = written["candidate"]
        if not {"proportions", "figures", "recalls"} <= set(metrics):
            raise UsageError(f"{name}: its metrics were written by an older version; evaluate it again")
        of_best = metrics["proportions"].pop("top_k_accuracy", None)
        if of_best and "top_k" in written:  # another k is another metric
            metrics["proportions"][f"top_{written['top_k']}_accuracy"] = of_best
        predictions = _predictions(folder / PREDICTIONS_FILE)
    if settings is None and storage.is_local(address):
        settings = find_train_settings(storage.local_path(address), verdict["candidate"]["model_sha256"])
    return Evaluated(name, address, verdict, metrics, predictions, None if settings is None else flat(settings))


def _predictions(path: Path) -> dict[str, Prediction]:
    import pyarrow.parquet as pq

    columns = ["sha256", "filename", "label", "predicted", "scores"]
    rows = pq.read_table(path, columns=columns).to_pylist()
    return {row["sha256"]: _prediction(row) for row in rows}


def _prediction(row: Mapping[str, Any]) -> Prediction:
    label, predicted = row["label"], row["predicted"]
    if isinstance(label, str):
        return Prediction(row["filename"], frozenset([label]), frozenset([predicted]), max(row["scores"]))
    return Prediction(row["filename"], frozenset(label), frozenset(predicted), None)


def find_train_settings(evaluation: Path, sha256: str) -> Mapping[str, Any] | None:
    """Returns the training settings of the evaluated model, or None if it is not nearby.

    Args:
        evaluation: The evaluation's folder.
        sha256: Hash of the evaluated model.
    """
    for folder in _near(evaluation, _MODEL):
        try:
            if model_sha256(folder) == sha256:
                return dict(read_model_info(folder)["settings"])
        except (PetalflowError, OSError):  # not a model, or unreadable
            continue
    return None


def find_dataset(evaluation: Path, fingerprint: str) -> Dataset | None:
    """Returns the dataset that the model was evaluated on, or None if it is not nearby.

    Args:
        evaluation: The evaluation's folder.
        fingerprint: Fingerprint of the dataset.
    """
    for folder in _near(evaluation, _DATASET):
        try:
            dataset = open_dataset(folder)
        except (PetalflowError, OSError):  # not a dataset, incomplete, or unreadable
            continue
        if dataset.fingerprint == fingerprint:
            return dataset
    return None


def _near(evaluation: Path, made: str) -> Iterator[Path]:
    """Yields the folders next to an evaluation; in a run's folder, those written by a step of any of its runs."""
    if evaluation.as_posix().endswith(f"/{_EVALUATION}"):
        yield from sorted(evaluation.parents[2].glob(f"*/{made}"), reverse=True)  # newest first
    else:
        yield from sorted(path for path in evaluation.parent.iterdir() if path.is_dir())
