"""echo SCORES.npy | python -m components.export.verify EXPORT DATASET TOLERANCE

Loads an export in a new process, which has nothing but the export's files, and compares its scores with those of the
evaluated model.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from petalflow.errors import PetalflowError
from petalflow.run.execution import running

if TYPE_CHECKING:
    from petalflow.dataset import Dataset

Scores = NDArray[np.floating[Any]]

# LiteRT runs one image at a time; a few are enough to show that it computes the same.
_LITERT_IMAGES = 16


def verify(folder: Path, dataset_root: Path, expected: Scores, tolerance: float) -> tuple[int, float]:
    """Compares an export, and its LiteRT model if it has one, with the expected scores of the first test images.

    Returns:
        The number of images compared, and the largest difference of a score.

    Raises:
        PetalflowError: If the difference is larger than `tolerance`.
    """
    from petalflow.dataset import open_dataset
    from petalflow.model.exported import LITERT_FILE
    from petalflow.model.scoring import score_saved_model

    dataset = open_dataset(dataset_root)
    scores = score_saved_model(folder, dataset, "test", limit=len(expected))
    difference = _compare("SavedModel", scores, expected, tolerance)
    if (folder / LITERT_FILE).exists():
        first = expected[:_LITERT_IMAGES]
        litert = _litert_scores(folder / LITERT_FILE, dataset, len(first))
        difference = max(difference, _compare("LiteRT model", litert, first, tolerance))
    return len(expected), difference


def _litert_scores(path: Path, dataset: "Dataset", images: int) -> Scores:
    from components.export.litert import litert_size_px, score_litert
    from petalflow.model.reading import decoded_images

    examples = decoded_images(dataset, "test", litert_size_px(path)).take(images)
    return score_litert(path, np.stack([image for image, _ in examples.as_numpy_iterator()]))


def _compare(what: str, scores: Scores, expected: Scores, tolerance: float) -> float:
    difference = float(abs(scores - expected).max())
    if not difference <= tolerance:  # phrased so that NaN fails, too
        raise PetalflowError(
            f"the {what}'s scores differ from the evaluated model's by {difference:.2g}, more than "
            f"export.tolerance={tolerance:g}, on {len(expected)} images; it is not released"
        )
    return difference


if __name__ == "__main__":
    with running("export"):
        import petalflow.model.scoring  # noqa: F401  (takes seconds, in which the export is written)

        scores = sys.stdin.readline().strip()  # comes when the export is written
        folder, dataset_root, tolerance = sys.argv[1:]
        print(*verify(Path(folder), Path(dataset_root), np.load(scores), float(tolerance)))
