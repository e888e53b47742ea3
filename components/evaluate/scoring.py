"""The scores of the candidate, and the predictions of the live release on the candidate's test images."""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluate.images import EvaluatedImages
from petalflow import storage
from petalflow.dataset import Dataset
from petalflow.errors import PetalflowError
from petalflow.metrics.predictions import Predictions
from petalflow.model.files import TrainedModel
from petalflow.model.scoring import score_model, score_saved_model
from petalflow.model.task import Task
from petalflow.progress import Counter
from petalflow.registry import Release, read_training_hashes

log = logging.getLogger(__name__)


class BrokenBaselineError(PetalflowError):
    """The live release cannot be loaded, or its scores cannot be used."""


@dataclass(frozen=True)
class Baseline:
    """The live release on a test split.

    Attributes:
        version: The release's number.
        predictions: Its predictions for all images of the test split, in the dataset's classes.
        comparable: The images on which it may be compared, [n]: it knows their classes and was not trained on them.
        same_classes: True if it has exactly the candidate's classes, so that probabilities mean the same.
        facts: What the verdict records of it.
    """

    version: int
    predictions: Predictions
    comparable: NDArray[np.bool_]
    same_classes: bool
    facts: dict[str, Any] = field(default_factory=dict)


def score_candidate(
    model: TrainedModel, dataset: Dataset, split: str, counter: Counter, limit: int = -1
) -> NDArray[np.float32]:
    """Returns the candidate's scores on a split, [n, classes].

    Args:
        model: The candidate.
        dataset: The dataset.
        split: Name of the split.
        counter: Counts the images.
        limit: How many images to score at most; -1 for all.

    Raises:
        PetalflowError: If a score is NaN or infinite.
    """
    scores = score_model(model, dataset, split, counter, limit)
    if not np.isfinite(scores).all():
        raise PetalflowError("the model's scores are NaN or infinite; train with a lower train.learning_rate")
    return scores


def score_baseline(
    release: Release, dataset: Dataset, images: EvaluatedImages, task: Task, counter: Counter
) -> Baseline:
    """Scores a release on the test split from its released files, matching classes by name.

    Args:
        release: The live release.
        dataset: The candidate's dataset.
        images: The images that the candidate is judged on.
        task: The candidate's task.
        counter: Counts the images.

    Raises:
        BrokenBaselineError: If the release cannot be loaded, or its scores are NaN or infinite.
    """
    scores = _score_release(release, dataset, counter)[images.kept]
    predictions = _match_classes(release.class_names, dataset.classes, images.labels, scores, task)
    new = sorted(set(dataset.classes) - set(release.class_names))
    gone = sorted(set(release.class_names) - set(dataset.classes))
    if new or gone:
        log.info("classes differ from release %d: new %s, removed %s", release.version, new or "none", gone or "none")
    known = np.isin(dataset.classes, release.class_names)
    seen = read_training_hashes(release)
    trained_on = np.array([entry.sha256 in (seen or ()) for entry in images.entries], bool)
    comparable = ~(images.labels & ~known).any(axis=1) & ~trained_on
    facts = {
        "version": release.version,
        "run_id": release.run_id,
        "new_classes": new,
        "gone_classes": gone,
        "trained_on": int(trained_on.sum()) if seen is not None else None,
        "compared_images": int(comparable.sum()),
    }
    return Baseline(release.version, predictions, comparable, not new and not gone, facts)


def _score_release(release: Release, dataset: Dataset, counter: Counter) -> NDArray[np.float32]:
    try:
        with storage.local_copy(release.uri) as folder:
            scores = score_saved_model(folder, dataset, "test", counter)
    except Exception as error:  # TensorFlow, stores and damaged files each raise their own kind
        first = " ".join(str(error).split())[:300]
        raise BrokenBaselineError(f"release {release.version} at {release.uri} cannot be used: {first}") from error
    if scores.shape[1] != len(release.class_names) or not np.isfinite(scores).all():
        raise BrokenBaselineError(
            f"release {release.version} at {release.uri} returns NaN or infinite scores, or not one score per class"
        )
    return scores


def _match_classes(
    released: tuple[str, ...],
    classes: tuple[str, ...],
    labels: NDArray[np.bool_],
    scores: NDArray[np.float32],
    task: Task,
) -> Predictions:
    """Returns a release's predictions in the candidate's classes; no class is predicted where its class is gone."""
    predictions = Predictions.of(np.zeros_like(scores, bool), scores, task)
    columns = [released.index(name) if name in released else None for name in classes]
    nothing = np.zeros(len(scores))

    def mapped(values: NDArray[Any]) -> NDArray[Any]:
        return np.stack([nothing if at is None else values[:, at] for at in columns], axis=1)

    return Predictions(labels, mapped(scores).astype(np.float32), mapped(predictions.predicted).astype(bool), task)
