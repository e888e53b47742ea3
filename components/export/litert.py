"""The model for phones and small devices (LiteRT, formerly TensorFlow Lite)."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.export.serving import SCORES_SIGNATURE
from petalflow.model.quiet import quiet_start


def write_litert(saved_model: Path, path: Path) -> None:
    """Converts a SavedModel to LiteRT: from pixels, uint8 [1, size, size, 3], to scores, float32 [1, classes].

    Not from a traced function: in TensorFlow 2.21 that loses the weights (all scores are NaN).

    Args:
        saved_model: Folder that `write_saved_model` wrote.
        path: The file to write.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[SCORES_SIGNATURE])
    path.write_bytes(converter.convert())


def score_litert(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns the scores [n, classes] of a LiteRT model for pixels [n, size, size, 3]."""
    with quiet_start():  # hides its start-up message and deprecation warning
        interpreter = tf.lite.Interpreter(str(path))
        run = interpreter.get_signature_runner(SCORES_SIGNATURE)
        return np.concatenate([run(pixels=image[None])["scores"] for image in pixels])


def litert_size_px(path: Path) -> int:
    """Returns the height and width of a LiteRT model's input."""
    with quiet_start():
        return int(tf.lite.Interpreter(str(path)).get_input_details()[0]["shape"][1])
