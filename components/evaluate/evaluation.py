"""A scored candidate: the evidence for its checks, and what the report shows in addition."""

from dataclasses import dataclass

from components.evaluate.evidence import Evidence
from components.evaluate.images import EvaluatedImages
from petalflow.dataset import Dataset
from petalflow.metrics.metrics import Metrics
from petalflow.metrics.predictions import Predictions
from petalflow.model.files import TrainedModel


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
    """

    model: TrainedModel
    dataset: Dataset
    images: EvaluatedImages
    evidence: Evidence
    uncalibrated: Predictions
    baseline_metrics: Metrics | None
    temperature: float
