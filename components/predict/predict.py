"""Classify images with a released model."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from components.predict.runtimes import Scored, open_runtime
from components.predict.settings import PredictSettings
from petalflow import imaging, storage
from petalflow.errors import UsageError
from petalflow.model.exported import Exported
from petalflow.registry import Release

log = logging.getLogger(__name__)

# Between the labels of an image, as in a manifest.
_SEPARATOR = "|"


@dataclass(frozen=True)
class Prediction:
    """The prediction for one file.

    Attributes:
        file: The file's address.
        label: The class with the best score, or all predicted labels, as in "cat|dog"; None if the file is not a
            readable image.
        score: The best score, 0..1; None if the file is not a readable image.
        accepted: True if the score reaches the abstain threshold; always true with several labels.
        scores: Class name -> score.
        error: Why the file could not be read, or "".
    """

    file: str
    label: str | None
    score: float | None
    accepted: bool
    scores: dict[str, float]
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return f"{self.file}\tunreadable\t{self.error}"
        return f"{self.file}\t{self.label if self.accepted else 'abstains'}\t{self.score:.4f}"

    def to_json(self) -> dict[str, Any]:
        """Returns the prediction as plain values."""
        return asdict(self)


def predict(release: Release, files: Sequence[str], settings: PredictSettings) -> Iterator[Prediction]:
    """Yields a prediction for each file, in order.

    Files are prepared first as for a dataset: whatever Pillow reads is classified, and an unreadable file is reported
    with the reason.

    Args:
        release: The release to classify with.
        files: Addresses of images.
        settings: The settings of predict.
    """
    rules = imaging.Rules(background=imaging.parse_colour(release.lineage.get("background", Exported.background)))
    with open_runtime(release, len(files), settings) as runtime, ThreadPoolExecutor() as pool:
        log.info("version %d, with %s", release.version, runtime.name)
        for start in range(0, len(files), settings.batch_size):
            chunk = files[start : start + settings.batch_size]
            images = list(pool.map(partial(_prepare, rules=rules), chunk))
            data = [image.data for image in images if isinstance(image, imaging.Prepared)]
            scored = _rows(runtime.score(data)) if data else iter(())
            for file, image in zip(chunk, images, strict=True):
                if isinstance(image, str):
                    yield Prediction(file, None, None, False, {}, image)
                else:
                    scores, chosen = next(scored)
                    yield _prediction(file, dict(zip(release.class_names, scores, strict=True)), chosen)


def _rows(scored: Scored) -> Iterator[tuple[list[float], Any]]:
    """Returns the scores of each image, and whether it is accepted or which labels it has."""
    return zip(scored.scores.tolist(), scored.chosen.tolist(), strict=True)


def _prediction(file: str, scores: dict[str, float], chosen: bool | list[bool]) -> Prediction:
    if isinstance(chosen, list):
        labels = _SEPARATOR.join(name for name, is_predicted in zip(scores, chosen, strict=True) if is_predicted)
        return Prediction(file, labels, max(scores.values()), True, scores)
    label = max(scores, key=scores.__getitem__)
    return Prediction(file, label, scores[label], chosen, scores)


def _prepare(file: str, rules: imaging.Rules) -> imaging.Prepared | str:
    """Returns an image, or why it cannot be read."""
    try:
        return imaging.prepare(storage.read_bytes(file), rules)
    except imaging.Rejected as rejected:
        return rejected.sentence
    except FileNotFoundError:
        return "no such file"
    except (OSError, UsageError) as error:
        return str(error)
