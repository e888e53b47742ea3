"""Scoring a candidate and the live release: all that the verdict and the report rest on."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluate.abstention import Abstention
from components.evaluate.baseline import Baseline, BrokenBaselineError, score_baseline
from components.evaluate.images import EvaluatedImages, label_matrix
from components.evaluate.judge import Evidence
from components.evaluate.settings import EvaluateSettings
from components.evaluate.warm_start import WarmStart
from petalflow import registry
from petalflow.dataset import Dataset
from petalflow.errors import PetalflowError
from petalflow.metrics.calibration import find_temperature
from petalflow.metrics.metrics import Metrics, compute_metrics
from petalflow.metrics.predictions import Predictions
from petalflow.model.files import TrainedModel
from petalflow.model.scoring import score_model
from petalflow.model.task import apply_temperature
from petalflow.progress import Counter

log = logging.getLogger(__name__)

# A temperature is one number: more images than these would not make it another.
_MOST_VALIDATION_IMAGES = 2000


@dataclass(frozen=True)
class Evaluation:
    """All that is known of a candidate.

    Attributes:
        model: The candidate.
        dataset: The dataset.
        images: Its test split.
        evidence: What the checks rest on: the predictions, calibrated, their figures, the live release's predictions.
        uncalibrated: The predictions as the model gave them.
        baseline_metrics: Figures of the live release, on the images that it may be compared on; or None.
        temperature: What logits are divided by.
    """

    model: TrainedModel
    dataset: Dataset
    images: EvaluatedImages
    evidence: Evidence
    uncalibrated: Predictions
    baseline_metrics: Metrics | None
    temperature: float


def examine(
    model: TrainedModel,
    dataset: Dataset,
    images: EvaluatedImages,
    settings: EvaluateSettings,
    release: registry.Release | None,
    warm_start: WarmStart,
) -> Evaluation:
    """Scores the test split with both models and measures their predictions.

    Args:
        model: The candidate.
        dataset: The dataset.
        images: Its test split.
        settings: Of evaluate.
        release: The live release, or None.
        warm_start: The release that its training began with.

    Raises:
        PetalflowError: If the candidate's scores are no numbers.
    """
    tuned_by = min(dataset.size("validation"), _MOST_VALIDATION_IMAGES) if _needs_validation(settings) else 0
    counter = Counter("evaluate", len(images.kept) * (2 if release else 1) + tuned_by, "images")
    raw = Predictions.of(images.labels, _scores(model, dataset, "test", counter)[images.kept], model.task)
    temperature, abstain_threshold = _tuned(model, dataset, tuned_by, settings, counter)
    predictions = Predictions.of(images.labels, apply_temperature(raw.scores, temperature, model.task), model.task)
    baseline, broken = _baseline(release, dataset, images, predictions, counter)
    compared = baseline.predictions.subset(baseline.comparable) if baseline else None
    return Evaluation(
        model=model,
        dataset=dataset,
        images=images,
        evidence=Evidence(
            classes=dataset.classes,
            predictions=predictions,
            metrics=compute_metrics(predictions, dataset.classes, settings.top_k),
            slices=images.slices,
            abstain_threshold=abstain_threshold,
            baseline=baseline,
            broken=broken,
            warm_start=warm_start,
        ),
        uncalibrated=raw,
        baseline_metrics=compute_metrics(compared, dataset.classes, settings.top_k)
        if compared and compared.images
        else None,
        temperature=temperature,
    )


def _needs_validation(settings: EvaluateSettings) -> bool:
    return settings.calibrate or settings.abstain_below_accuracy is not None


def _tuned(
    model: TrainedModel, dataset: Dataset, images: int, settings: EvaluateSettings, counter: Counter
) -> tuple[float, float | None]:
    """Returns temperature and abstain threshold, which the validation split decides: the test split only judges."""
    if not images:
        return 1.0, None if settings.abstain_below_accuracy is not None else settings.abstain_threshold
    scores = _scores(model, dataset, "validation", counter, images)
    labels = label_matrix(list(dataset.entries("validation"))[:images], len(dataset.classes))
    temperature = find_temperature(labels, scores, model.task) if settings.calibrate else 1.0
    if settings.abstain_below_accuracy is None:
        return temperature, settings.abstain_threshold
    predictions = Predictions.of(labels, apply_temperature(scores, temperature, model.task), model.task)
    return temperature, Abstention(predictions.confidence, predictions.correct).threshold_for(
        settings.abstain_below_accuracy
    )


def _baseline(
    release: registry.Release | None,
    dataset: Dataset,
    images: EvaluatedImages,
    predictions: Predictions,
    counter: Counter,
) -> tuple[Baseline | None, str]:
    """Returns the live release's predictions, or why there are none though there is a release."""
    if release is None:
        return None, ""
    try:
        return score_baseline(release, dataset, images, predictions.task, counter), ""
    except BrokenBaselineError as error:
        log.warning("%s", error)
        return None, str(error)


def _scores(
    model: TrainedModel, dataset: Dataset, split: str, counter: Counter, limit: int = -1
) -> NDArray[np.float32]:
    scores = score_model(model, dataset, split, counter, limit)
    if not np.isfinite(scores).all():
        raise PetalflowError("the model gives scores that are not numbers; train with a lower train.learning_rate")
    return scores
