"""A scored candidate: the evidence for its checks, and what the report shows in addition."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.evaluate.evidence import Evidence
from components.evaluate.images import EvaluatedImages
from components.evaluate.mislabelled import Mislabelled
from petalflow.dataset import Dataset
from petalflow.metrics.metrics import Metrics
from petalflow.metrics.predictions import Predictions
from petalflow.model.files import TrainedModel


@dataclass(frozen=True)
class Run:
    """The run that an evaluation belongs to, for the title of its report.

    Attributes:
        name: The name to release under; "" outside a run.
        run_id: The run's id, or "".
        version: The version of the release if the candidate is accepted; None if unknown.
    """

    name: str = ""
    run_id: str = ""
    version: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """A scored candidate.

    Attributes:
        model: The candidate.
        dataset: The dataset.
        images: The images it was evaluated on.
        evidence: What its checks rest on.
        uncalibrated: Its predictions at temperature 1.
        baseline_metrics: Metrics of the live release on the comparable images; None if there are none.
        temperature: Divides the logits.
        mislabelled: The classes whose labels look wrong.
        run: The run that it belongs to.
    """

    model: TrainedModel
    dataset: Dataset
    images: EvaluatedImages
    evidence: Evidence
    uncalibrated: Predictions
    baseline_metrics: Metrics | None
    temperature: float
    mislabelled: Sequence[Mislabelled] = ()
    run: Run = Run()
