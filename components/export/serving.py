"""The signatures that a released model answers to."""

from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from petalflow.model.decode import decode_and_resize

SCORES_SIGNATURE = "scores"
# Keeps the logarithm of a score of 0 finite.
_SMALLEST = 1e-30


def write_saved_model(
    model: keras.Model, folder: Path, classes: Sequence[str], temperature: float, abstain_threshold: float
) -> None:
    """Writes a SavedModel with three signatures.

    `serving_default` takes `image_bytes`, encoded images [n]; `pixels` takes `pixels`, uint8
    [n, size, size, 3]. Both give `scores` float32 [n, classes], `label` string [n], `score`
    float32 [n] and `accepted` bool [n]. `scores` takes pixels too and gives the scores alone,
    for what has no strings (LiteRT is made from it).

    Args:
        model: Images of 0..255 to probabilities.
        folder: Where to write.
        classes: Class names, in the order of the scores.
        temperature: What logits are divided by.
        abstain_threshold: Lowest score that is answered with confidence.
    """
    size_px = model.input_shape[1]
    names = tf.constant(list(classes))

    pixels_spec = tf.TensorSpec([None, size_px, size_px, 3], tf.uint8, name="pixels")

    @tf.function(input_signature=[pixels_spec])  # traced once, for all three
    def scores_only(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": _cooled(model(tf.cast(pixels, tf.float32), training=False), temperature)}

    @tf.function(input_signature=[pixels_spec])
    def answer(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = scores_only(pixels)["scores"]
        score = tf.reduce_max(scores, axis=1)
        label = tf.gather(names, tf.argmax(scores, axis=1))
        return {"scores": scores, "label": label, "score": score, "accepted": score >= abstain_threshold}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def answer_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        pixel_spec = tf.TensorSpec([size_px, size_px, 3], tf.uint8)
        pixels = tf.map_fn(lambda data: decode_and_resize(data, size_px), image_bytes, fn_output_signature=pixel_spec)
        answers: dict[str, tf.Tensor] = answer(pixels)
        return answers

    # Not Keras' ExportArchive, which traces the model over again for each signature.
    served = tf.Module()
    served.kept = [variable.value for variable in model.variables]  # what the functions refer to
    signatures = {"serving_default": answer_bytes, "pixels": answer, SCORES_SIGNATURE: scores_only}
    tf.saved_model.save(served, str(folder), signatures=signatures)


def _cooled(scores: tf.Tensor, temperature: float) -> tf.Tensor:
    """Returns softmax(logits / temperature); a softmax's logits are its logarithm, up to a constant."""
    if temperature == 1:
        return scores
    return tf.nn.softmax(tf.math.log(tf.maximum(scores, _SMALLEST)) / temperature)
