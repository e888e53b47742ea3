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
class Answer:
    """What a model said of one image.

    Attributes:
        filename: The image's address in the source.
        labels: Its classes.
        given: The classes that the model answered with.
        score: The best of its scores, 0..1; None where an image may have several classes, each with its own.
    """

    filename: str
    labels: Labels
    given: Labels
    score: float | None

    @property
    def right(self) -> bool:
        """Whether it is right; of several labels, all of them."""
        return self.labels == self.given


@dataclass(frozen=True)
class Evaluated:
    """An evaluation.

    Attributes:
        name: As people name it.
        address: Its folder.
        verdict: What verdict.json says.
        metrics: The candidate's figures, as in metrics.json.
        answers: SHA-256 of an image's content -> the answer; every image of the test split.
        settings: Of train, by their whole names; None where the model is not at hand.
    """

    name: str
    address: str
    verdict: Mapping[str, Any]
    metrics: Mapping[str, Any]
    answers: Mapping[str, Answer]
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
        answers = _answers(folder / PREDICTIONS_FILE)
    if settings is None and storage.is_local(address):
        settings = settings_of(storage.local_path(address), verdict["candidate"]["model_sha256"])
    return Evaluated(name, address, verdict, metrics, answers, None if settings is None else flat(settings))


def _answers(path: Path) -> dict[str, Answer]:
    import pyarrow.parquet as pq

    columns = ["sha256", "filename", "label", "predicted", "scores"]
    rows = pq.read_table(path, columns=columns).to_pylist()
    return {row["sha256"]: _answer(row) for row in rows}


def _answer(row: Mapping[str, Any]) -> Answer:
    label, given = row["label"], row["predicted"]
    if isinstance(label, str):
        return Answer(row["filename"], frozenset([label]), frozenset([given]), max(row["scores"]))
    return Answer(row["filename"], frozenset(label), frozenset(given), None)
