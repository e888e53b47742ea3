"""Scoring a candidate and the live release: all that the verdict and the report rest on."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluate.abstention import Abstention
from components.evaluate.ancestor import Ancestor
from components.evaluate.baseline import Baseline, BrokenBaselineError, score_baseline
from components.evaluate.images import TestImages, truth_of
from components.evaluate.judge import Evidence
from components.evaluate.settings import EvaluateSettings
from petalflow import registry
from petalflow.dataset import Dataset
from petalflow.errors import PetalflowError
from petalflow.metrics.calibration import find_temperature
from petalflow.metrics.measure import Measurement, measure
from petalflow.metrics.predictions import Answers
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
        evidence: What the checks rest on: the answers, calibrated, their figures, the live release's answers.
        uncalibrated: The answers as the model gave them.
        baseline_measurement: Figures of the live release, on the images that it may be compared on; or None.
        temperature: What logits are divided by.
    """

    model: TrainedModel
    dataset: Dataset
    images: TestImages
    evidence: Evidence
    uncalibrated: Answers
    baseline_measurement: Measurement | None
    temperature: float


def examine(
    model: TrainedModel,
    dataset: Dataset,
    images: TestImages,
    settings: EvaluateSettings,
    release: registry.Release | None,
    ancestor: Ancestor,
) -> Evaluation:
    """Scores the test split with both models and measures their answers.

    Args:
        model: The candidate.
        dataset: The dataset.
        images: Its test split.
        settings: Of evaluate.
        release: The live release, or None.
        ancestor: The release that its training began with.

    Raises:
        PetalflowError: If the candidate's scores are no numbers.
    """
    tuned_by = min(dataset.size("validation"), _MOST_VALIDATION_IMAGES) if _needs_validation(settings) else 0
    counter = Counter("evaluate", len(images.kept) * (2 if release else 1) + tuned_by, "images")
    raw = Answers.of(images.truth, _scores(model, dataset, "test", counter)[images.kept], model.task)
    temperature, abstain_threshold = _tuned(model, dataset, tuned_by, settings, counter)
    answers = Answers.of(images.truth, apply_temperature(raw.scores, temperature, model.task), model.task)
    baseline, broken = _baseline(release, dataset, images, answers, counter)
    theirs = baseline.answers.of_images(baseline.comparable) if baseline else None
    return Evaluation(
        model=model,
        dataset=dataset,
        images=images,
        evidence=Evidence(
            classes=dataset.classes,
            answers=answers,
            measurement=measure(answers, dataset.classes, settings.top_k),
            slices=images.slices,
            abstain_threshold=abstain_threshold,
            baseline=baseline,
            broken=broken,
            ancestor=ancestor,
        ),
        uncalibrated=raw,
        baseline_measurement=measure(theirs, dataset.classes, settings.top_k) if theirs and theirs.images else None,
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
    truth = truth_of(list(dataset.entries("validation"))[:images], len(dataset.classes))
    temperature = find_temperature(truth, scores, model.task) if settings.calibrate else 1.0
    if settings.abstain_below_accuracy is None:
        return temperature, settings.abstain_threshold
    answers = Answers.of(truth, apply_temperature(scores, temperature, model.task), model.task)
    return temperature, Abstention(answers.confidence, answers.right).threshold_for(settings.abstain_below_accuracy)


def _baseline(
    release: registry.Release | None, dataset: Dataset, images: TestImages, answers: Answers, counter: Counter
) -> tuple[Baseline | None, str]:
    """Returns the live release's answers, or why there are none though there is a release."""
    if release is None:
        return None, ""
    try:
        return score_baseline(release, dataset, images, answers.task, counter), ""
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
