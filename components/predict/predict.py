"""Classify images with a released model."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components.predict.settings import PredictSettings
from petalflow import imaging, storage
from petalflow.errors import UsageError
from petalflow.model.quiet import quiet_start
from petalflow.registry import Release


@dataclass(frozen=True)
class Prediction:
    """What a model says of one file.

    Attributes:
        file: The file as it was given.
        label: The class with the best score; None if the file is no readable image.
        score: Its score, 0..1, or None likewise.
        accepted: Whether the score reaches the abstain threshold.
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

    Files are checked first, since one undecodable image would fail its whole batch; whatever
    Pillow reads is sent as an image that TensorFlow reads.

    Args:
        release: The model.
        files: Addresses of images.
        settings: How to send them.
    """
    with quiet_start():
        import tensorflow as tf

    with storage.local_copy(release.uri) as folder:
        saved = tf.saved_model.load(str(folder))
        serve = saved.signatures["serving_default"]
        for start in range(0, len(files), settings.batch_size):
            chunk = files[start : start + settings.batch_size]
            images = [_prepare(file) for file in chunk]
            data = [image.data for image in images if isinstance(image, imaging.Prepared)]
            answers = serve(image_bytes=tf.constant(data)) if data else {"scores": [], "accepted": []}
            scored = zip(answers["scores"], answers["accepted"], strict=True)
            for file, image in zip(chunk, images, strict=True):
                if isinstance(image, str):
                    yield Prediction(file, None, None, False, {}, image)
                    continue
                scores, accepted = next(scored)
                by_name = dict(zip(release.class_names, map(float, scores), strict=True))
                label = max(by_name, key=by_name.__getitem__)
                yield Prediction(file, label, by_name[label], bool(accepted), by_name)


def _prepare(file: str) -> imaging.Prepared | str:
    """Returns an image, or why it cannot be read."""
    try:
        return imaging.prepare(storage.read_bytes(file))
    except imaging.Rejected as rejected:
        return rejected.sentence
    except FileNotFoundError:
        return "no such file"
    except (OSError, UsageError) as error:
        return str(error)
