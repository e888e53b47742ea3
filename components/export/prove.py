"""echo go | python -m components.export.prove EXPORT EVALUATION DATASET IMAGES TOLERANCE

Loads an export in a fresh process, where nothing but its files can answer, and compares its
scores with those that were evaluated.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petalflow.errors import PetalflowError
from petalflow.step import running

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from petalflow.dataset import Dataset

    Scores = NDArray[np.floating[Any]]


# LiteRT runs one image at a time here; a few are enough to see that it computes the same.
_LITERT_IMAGES = 16


def prove(folder: Path, evaluation: Path, dataset_root: Path, images: int, tolerance: float) -> tuple[int, float]:
    """Compares an export, and its LiteRT model if it has one, with an evaluation on the first test images.

    Returns:
        How many images were compared, and the largest difference of a score.

    Raises:
        PetalflowError: If it is larger than `tolerance`.
    """
    from components.export.files import LITERT_FILE
    from petalflow.dataset import open_dataset
    from petalflow.model.scoring import score_saved_model

    dataset = open_dataset(dataset_root)
    expected = _expected(evaluation, images)
    scores = score_saved_model(folder, dataset, "test", limit=images)
    difference = _compare("SavedModel", scores, expected, tolerance)
    if (folder / LITERT_FILE).exists():
        litert = _litert_scores(folder / LITERT_FILE, dataset)
        difference = max(difference, _compare("LiteRT model", litert, expected[: len(litert)], tolerance))
    return len(expected), difference


def _expected(evaluation: Path, images: int) -> "Scores":
    """Returns the scores that the export should give, from those evaluated and the verdict's temperature."""
    import numpy as np
    import pyarrow.parquet as pq

    from petalflow import storage
    from petalflow.verdict import PREDICTIONS_FILE, VERDICT_FILE

    table = pq.read_table(evaluation / PREDICTIONS_FILE, columns=["scores"])
    scores: Scores = np.array(table["scores"].to_pylist()[:images])
    powers = scores ** (1 / storage.read_json(str(evaluation / VERDICT_FILE))["temperature"])
    normalised: Scores = powers / powers.sum(axis=1, keepdims=True)
    return normalised


def _litert_scores(path: Path, dataset: "Dataset") -> "Scores":
    import numpy as np

    from components.export.litert import litert_size_px, score_litert
    from petalflow.dataset.reading import decoded_images

    examples = decoded_images(dataset, "test", litert_size_px(path)).take(_LITERT_IMAGES)
    return score_litert(path, np.stack([image for image, _ in examples.as_numpy_iterator()]))


def _compare(what: str, scores: "Scores", expected: "Scores", tolerance: float) -> float:
    difference = float(abs(scores - expected).max())
    if not difference <= tolerance:  # written so that NaN fails too
        raise PetalflowError(
            f"the {what}'s scores differ from the evaluated model's by {difference:.2g}, more than "
            f"export.tolerance={tolerance:g}, on {len(expected)} images; it is not released"
        )
    return difference


if __name__ == "__main__":
    with running("export"):
        import petalflow.model.scoring  # noqa: F401  (takes seconds, while the export is still being written)

        sys.stdin.readline()  # told that it is written
        folder, evaluation, dataset_root, images, tolerance = sys.argv[1:]
        print(*prove(Path(folder), Path(evaluation), Path(dataset_root), int(images), float(tolerance)))
