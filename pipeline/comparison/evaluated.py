"""What an evaluation's folder says of a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.settings import flat
from petalflow.verdict import METRICS_FILE, PREDICTIONS_FILE, VERDICT_FILE
from pipeline.comparison.surroundings import settings_of

Labels = frozenset[str]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model predicts for one image.

    Attributes:
        filename: The image's address in the source.
        labels: Its classes.
        predicted: The classes that the model predicts.
        score: The best of its scores, 0..1; None where an image may have several classes, each with its own.
    """

    filename: str
    labels: Labels
    predicted: Labels
    score: float | None

    @property
    def correct(self) -> bool:
        """Whether it is right; of several labels, all of them."""
        return self.labels == self.predicted


@dataclass(frozen=True)
class Evaluated:
    """An evaluation.

    Attributes:
        name: As people name it.
        address: Its folder.
        verdict: What verdict.json says.
        metrics: The candidate's figures, as in metrics.json.
        predictions: SHA-256 of an image's content -> the prediction; every image of the test split.
        settings: Of train, by their whole names; None where the model is not at hand.
    """

    name: str
    address: str
    verdict: Mapping[str, Any]
    metrics: Mapping[str, Any]
    predictions: Mapping[str, Prediction]
    settings: Mapping[str, Any] | None


def read_evaluation(address: str, name: str = "", settings: Mapping[str, Any] | None = None) -> Evaluated:
    """Returns the evaluation in a folder.

    Args:
        address: Path or URI of the folder that evaluate made.
        name: As people name it; the address if not said.
        settings: Of train, where they are known; else they are looked for beside the evaluation.

    Raises:
        UsageError: If it is not there, not complete, or of a version that wrote other figures.
    """
    name = name or address
    if not storage.is_complete(address):
        raise UsageError(
            f"{name}: its evaluation {address} is not there, or not complete; run it again "
            "(keep.work says how many runs keep what their steps made)"
        )
    with storage.local_copy(address) as folder:
        verdict = storage.read_json(str(folder / VERDICT_FILE))
        written = storage.read_json(str(folder / METRICS_FILE))
        metrics = written["candidate"]
        if not {"proportions", "figures", "recalls"} <= set(metrics):
            raise UsageError(f"{name}: its figures were written by an older version; evaluate it again")
        of_best = metrics["proportions"].pop("top_k_accuracy", None)
        if of_best and "top_k" in written:  # of another number of best scores it is another figure
            metrics["proportions"][f"top_{written['top_k']}_accuracy"] = of_best
        predictions = _predictions(folder / PREDICTIONS_FILE)
    if settings is None and storage.is_local(address):
        settings = settings_of(storage.local_path(address), verdict["candidate"]["model_sha256"])
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
