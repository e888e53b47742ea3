"""What is known of a candidate once it is scored: the evidence for its checks, and what the report shows besides."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from components.evaluate.images import EvaluatedImages, WarmStart
from components.evaluate.scoring import Baseline
from components.evaluate.slices import Slices
from petalflow.dataset import Dataset
from petalflow.metrics.metrics import Metrics
from petalflow.metrics.predictions import Predictions
from petalflow.model.files import TrainedModel


@dataclass(frozen=True)
class Evidence:
    """What the checks of a candidate rest on.

    Attributes:
        classes: Names of the classes.
        predictions: The candidate's, for every image of the test split, calibrated.
        metrics: Metrics of these predictions.
        slices: Parts of the test split.
        abstain_threshold: The model abstains where its top score is lower, 0..1; None if no threshold reaches
            `abstain_below_accuracy`.
        baseline: The live release; None if there is none.
        broken: Why the live release cannot be used, or "".
        warm_start: The release from which training started.
    """

    classes: Sequence[str]
    predictions: Predictions
    metrics: Metrics
    slices: Slices
    abstain_threshold: float | None
    baseline: Baseline | None
    broken: str = ""
    warm_start: WarmStart = field(default_factory=WarmStart)


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
