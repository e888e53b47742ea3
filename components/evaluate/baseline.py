"""The live release on the candidate's test images."""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from components.evaluate.images import EvaluatedImages
from petalflow import storage
from petalflow.dataset import Dataset
from petalflow.errors import PetalflowError
from petalflow.metrics.predictions import Predictions
from petalflow.model.scoring import score_saved_model
from petalflow.model.task import Task
from petalflow.progress import Counter
from petalflow.registry import Release, read_training_hashes

log = logging.getLogger(__name__)


class BrokenBaselineError(PetalflowError):
    """The live release cannot be loaded, or gives no scores."""


@dataclass(frozen=True)
class Baseline:
    """How the live release does on a test split.

    Attributes:
        version: Of the release.
        predictions: To all images of the test split, in the dataset's classes.
        comparable: Which images it may be compared on, [n]: it knows their classes and was not trained on them.
        same_classes: Whether it has just the candidate's classes, so that its probabilities mean the same.
        facts: For the verdict.
    """

    version: int
    predictions: Predictions
    comparable: NDArray[np.bool_]
    same_classes: bool
    facts: dict[str, Any] = field(default_factory=dict)


def score_baseline(
    release: Release,
    dataset: Dataset,
    images: EvaluatedImages,
    task: Task,
    counter: Counter,
) -> Baseline:
    """Scores a release on the test split, from its released files, comparing classes by name.

    Args:
        release: The live release.
        dataset: The candidate's dataset.
        images: What the candidate is judged on.
        task: What the candidate was asked.
        counter: Counts the images.

    Raises:
        BrokenBaselineError: If it cannot be loaded, or its scores are no numbers.
    """
    scores = _scores(release, dataset, counter)[images.kept]
    predictions = _in_classes(release.class_names, dataset.classes, images.labels, scores, task)
    new = sorted(set(dataset.classes) - set(release.class_names))
    gone = sorted(set(release.class_names) - set(dataset.classes))
    if new or gone:
        log.info("classes differ from release %d: new %s, gone %s", release.version, new or "none", gone or "none")
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


def difference_facts(candidate: Predictions, baseline: Predictions) -> dict[str, Any]:
    """Returns on how many images one alone is right, and the odds of that if both were equally good.

    McNemar's exact test (McNemar 1947, doi:10.1007/BF02295996): it tells whether they differ, not by how much.

    Args:
        candidate: Its predictions.
        baseline: Those of the release, to the same images.
    """
    better, worse = discordant(candidate, baseline)
    p = float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return {"better": better, "worse": worse, "mcnemar_p": round(p, 4)}


def discordant(candidate: Predictions, baseline: Predictions) -> tuple[int, int]:
    """Returns how many images only the candidate has right, and how many only the baseline."""
    return int((candidate.correct & ~baseline.correct).sum()), int((baseline.correct & ~candidate.correct).sum())


def _scores(release: Release, dataset: Dataset, counter: Counter) -> NDArray[np.float32]:
    try:
        with storage.local_copy(release.uri) as folder:
            scores = score_saved_model(folder, dataset, "test", counter)
    except Exception as error:  # of TensorFlow, of stores, of a damaged file: each raises its own kind
        first = " ".join(str(error).split())[:300]
        raise BrokenBaselineError(f"release {release.version} at {release.uri} cannot be used: {first}") from error
    if scores.shape[1] != len(release.class_names) or not np.isfinite(scores).all():
        raise BrokenBaselineError(f"release {release.version} at {release.uri} gives scores that cannot be used")
    return scores


def _in_classes(
    released: tuple[str, ...],
    classes: tuple[str, ...],
    labels: NDArray[np.bool_],
    scores: NDArray[np.float32],
    task: Task,
) -> Predictions:
    """Returns a release's predictions in the candidate's classes; none of them where its class is gone."""
    predictions = Predictions.of(np.zeros_like(scores, bool), scores, task)
    columns = [released.index(name) if name in released else None for name in classes]
    nothing = np.zeros(len(scores))

    def mapped(values: NDArray[Any]) -> NDArray[Any]:
        return np.stack([nothing if at is None else values[:, at] for at in columns], axis=1)

    return Predictions(labels, mapped(scores).astype(np.float32), mapped(predictions.predicted).astype(bool), task)
