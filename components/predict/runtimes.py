"""What runs a released model: LiteRT, which starts in a second, or TensorFlow with the SavedModel."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.predict.settings import PredictSettings
from petalflow import storage
from petalflow.errors import UsageError
from petalflow.imaging.square import square
from petalflow.model.exported import EXPORT_FILE, LITERT_FILE
from petalflow.model.quiet import quiet_start
from petalflow.model.serving import Serving
from petalflow.model.task import LABEL_THRESHOLD, Task
from petalflow.registry import Release

# The signature of both models that takes pixels and returns the scores only.
_SCORES = "scores"
# Up to this many images, LiteRT is done before the SavedModel is (docs/releases.md has the measurements).
MOST_FOR_LITERT = 1000


@dataclass(frozen=True)
class Scored:
    """The scores of a batch of images.

    Attributes:
        scores: Probabilities, float32 [n, classes].
        chosen: Bool: with one label per image [n], whether the score reaches the abstain threshold; with several
            [n, classes], whether the label is predicted.
    """

    scores: NDArray[np.float32]
    chosen: NDArray[np.bool_]


@dataclass(frozen=True)
class Runtime:
    """A model that is ready to score images.

    Attributes:
        name: What runs it, for people.
        score: From images as `petalflow.imaging.prepare` returns them to their scores.
    """

    name: str
    score: Callable[[Sequence[bytes]], Scored]


@contextmanager
def open_runtime(release: Release, images: int, settings: PredictSettings) -> Iterator[Runtime]:
    """Opens a released model.

    Args:
        release: The release.
        images: The number of images to classify.
        settings: The settings of predict.

    Raises:
        UsageError: If predict.runtime is litert and the release has no LiteRT file.
    """
    has_litert = settings.runtime != "saved_model" and _has_litert(release.uri)
    if settings.runtime == "litert" and not has_litert:
        raise UsageError(f"{release.uri} has no {LITERT_FILE}; use predict.runtime=saved_model")
    if has_litert and (settings.runtime == "litert" or images <= MOST_FOR_LITERT):
        with storage.local_file(storage.join(release.uri, LITERT_FILE)) as path:
            yield _litert(str(path), storage.read_json(storage.join(release.uri, EXPORT_FILE)))
    else:
        with storage.local_copy(release.uri) as folder:
            yield _saved_model(str(folder))


def _has_litert(uri: str) -> bool:
    return all(storage.is_file(storage.join(uri, file)) for file in (LITERT_FILE, EXPORT_FILE))


def _litert(path: str, exported: dict[str, Any]) -> Runtime:
    size_px = exported["image_size_px"]
    with quiet_start():  # hides messages of the start and of the first image, and TensorFlow's deprecation warning
        name, interpreter = _interpreter(path)
        run = interpreter.get_signature_runner(_SCORES)
        run(pixels=np.zeros([1, size_px, size_px, 3], np.uint8))
    several = exported.get("task") == Task.MULTI_LABEL
    threshold = Serving(**exported["serving"]).abstain_threshold

    def score(images: Sequence[bytes]) -> Scored:
        scores = np.concatenate([run(pixels=square(image, size_px)[None])[_SCORES] for image in images])
        # The threshold as float32, like the SavedModel's.
        return Scored(scores, scores > LABEL_THRESHOLD if several else scores.max(axis=1) >= np.float32(threshold))

    return Runtime(name, score)


def _interpreter(path: str) -> tuple[str, Any]:
    """Returns the name of the LiteRT that is installed, and its interpreter of a model."""
    threads = os.cpu_count()
    if importlib.util.find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter

        return "LiteRT", Interpreter(path, num_threads=threads)
    import tensorflow as tf

    return "TensorFlow's LiteRT (the package ai-edge-litert starts faster)", tf.lite.Interpreter(
        path, num_threads=threads
    )


def _saved_model(folder: str) -> Runtime:
    with quiet_start():
        import tensorflow as tf
    saved = tf.saved_model.load(folder)
    serve = saved.signatures["serving_default"]

    def score(images: Sequence[bytes]) -> Scored:
        _ = saved  # keeps the variables alive that its signatures refer to
        outputs = serve(image_bytes=tf.constant(list(images)))
        return Scored(outputs["scores"].numpy(), outputs["labels" if "labels" in outputs else "accepted"].numpy())

    return Runtime("the SavedModel", score)
