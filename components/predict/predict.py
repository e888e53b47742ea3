"""Classify images with a released model."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components.predict.settings import PredictSettings
from petalflow import imaging, storage
from petalflow.errors import UsageError
from petalflow.model.exported import Exported
from petalflow.model.quiet import quiet_start
from petalflow.registry import Release

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

    Files are prepared first as for a dataset: whatever Pillow reads is sent in a format that TensorFlow reads, and an
    unreadable file is reported with the reason.

    Args:
        release: The release to classify with.
        files: Addresses of images.
        settings: The settings of predict.
    """
    with quiet_start():
        import tensorflow as tf

    rules = imaging.Rules(background=imaging.parse_colour(release.lineage.get("background", Exported.background)))
    with storage.local_copy(release.uri) as folder:
        saved = tf.saved_model.load(str(folder))
        serve = saved.signatures["serving_default"]
        for start in range(0, len(files), settings.batch_size):
            chunk = files[start : start + settings.batch_size]
            images = [_prepare(file, rules) for file in chunk]
            data = [image.data for image in images if isinstance(image, imaging.Prepared)]
            outputs = serve(image_bytes=tf.constant(data)) if data else {"scores": [], "accepted": []}
            several = "labels" in outputs
            scored = zip(outputs["scores"], outputs["labels" if several else "accepted"], strict=True)
            for file, image in zip(chunk, images, strict=True):
                if isinstance(image, str):
                    yield Prediction(file, None, None, False, {}, image)
                    continue
                scores, chosen = next(scored)
                by_name = dict(zip(release.class_names, map(float, scores), strict=True))
                yield (
                    _multi_label_prediction(file, by_name, chosen)
                    if several
                    else _single_label_prediction(file, by_name, bool(chosen))
                )


def _single_label_prediction(file: str, scores: dict[str, float], accepted: bool) -> Prediction:
    label = max(scores, key=scores.__getitem__)
    return Prediction(file, label, scores[label], accepted, scores)


def _multi_label_prediction(file: str, scores: dict[str, float], predicted: Iterable[bool]) -> Prediction:
    labels = _SEPARATOR.join(name for name, is_predicted in zip(scores, predicted, strict=True) if is_predicted)
    return Prediction(file, labels, max(scores.values()), True, scores)


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
