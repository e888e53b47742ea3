"""The live release on the candidate's test images."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from petalflow import storage
from petalflow.dataset import Dataset
from petalflow.model.scoring import score_saved_model
from petalflow.progress import Counter
from petalflow.registry import Release

log = logging.getLogger(__name__)

# No class of the candidate's has this index: a baseline's answer that the dataset has no class for.
UNKNOWN = -1


@dataclass(frozen=True)
class Baseline:
    """How the live release does on a test split.

    Attributes:
        version: Of the release.
        predicted: The class it predicts, as an index into the dataset's classes or UNKNOWN, [n].
        comparable: Whether it knows the class of the image at all, [n].
        facts: For the verdict.
    """

    version: int
    predicted: NDArray[np.int64]
    comparable: NDArray[np.bool_]
    facts: dict[str, Any]


def score_baseline(release: Release, dataset: Dataset, labels: NDArray[np.int64], counter: Counter) -> Baseline:
    """Scores a release on the test split, from its released files, comparing classes by name.

    Args:
        release: The live release.
        dataset: The candidate's dataset.
        labels: The test split's labels, [n].
        counter: Counts the images.
    """
    with storage.local_copy(release.uri) as folder:
        scores = score_saved_model(folder, dataset, "test", counter)
    index_of = {name: index for index, name in enumerate(dataset.classes)}
    ours = np.array([index_of.get(name, UNKNOWN) for name in release.class_names])
    new = sorted(set(dataset.classes) - set(release.class_names))
    gone = sorted(set(release.class_names) - set(dataset.classes))
    if new or gone:
        log.info("classes differ from release %d: new %s, gone %s", release.version, new or "none", gone or "none")
    comparable = np.isin(labels, ours)
    facts = {
        "version": release.version,
        "run_id": release.run_id,
        "new_classes": new,
        "gone_classes": gone,
        "compared_images": int(comparable.sum()),
    }
    return Baseline(release.version, ours[scores.argmax(axis=1)], comparable, facts)
