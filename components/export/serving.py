"""The signatures of a released model."""

from pathlib import Path

import tensorflow as tf

from petalflow.model.decode import decode_image
from petalflow.model.files import TrainedModel
from petalflow.model.serving import Serving
from petalflow.model.task import LABEL_THRESHOLD, SATURATED, SMALLEST, Task

SCORES_SIGNATURE = "scores"


def write_saved_model(model: TrainedModel, folder: Path, serving: Serving) -> None:
    """Writes a SavedModel with three signatures.

    `serving_default` takes `image_bytes`, encoded images [n]; `pixels` takes `pixels`, uint8 [n, size, size, 3]. Both
    return `scores` float32 [n, classes], `label` string [n], `score` float32 [n] and `accepted` bool [n]; if images may
    have several labels, `scores` and `labels` bool [n, classes]. `scores` takes pixels, too, and returns the scores
    only, for formats without strings (LiteRT is converted from it).

    Args:
        model: The model to serve.
        folder: The folder to write to.
        serving: How the served model uses the scores.
    """
    size_px = model.image_size_px
    names = tf.constant(list(model.classes))

    pixels_spec = tf.TensorSpec([None, size_px, size_px, 3], tf.uint8, name="pixels")

    @tf.function(input_signature=[pixels_spec])  # traced once, for all three
    def scores_only(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model.keras_model(tf.cast(pixels, tf.float32), training=False)
        return {"scores": _class_scores(_apply_temperature(outputs, serving.temperature, model.task), model.task)}

    @tf.function(input_signature=[pixels_spec])
    def predict(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = scores_only(pixels)["scores"]
        if model.task is Task.MULTI_LABEL:
            return {"scores": scores, "labels": scores > LABEL_THRESHOLD}
        score = tf.reduce_max(scores, axis=1)
        label = tf.gather(names, tf.argmax(scores, axis=1))
        return {"scores": scores, "label": label, "score": score, "accepted": score >= serving.abstain_threshold}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def predict_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        pixel_spec = tf.TensorSpec([size_px, size_px, 3], tf.uint8)
        pixels = tf.map_fn(lambda data: decode_image(data, size_px), image_bytes, fn_output_signature=pixel_spec)
        predictions: dict[str, tf.Tensor] = predict(pixels)
        return predictions

    # Not Keras' ExportArchive, which traces the model again for each signature.
    served = tf.Module()
    served.kept = [variable.value for variable in model.keras_model.variables]  # the functions refer to them
    signatures = {"serving_default": predict_bytes, "pixels": predict, SCORES_SIGNATURE: scores_only}
    tf.saved_model.save(served, str(folder), signatures=signatures)


def _apply_temperature(outputs: tf.Tensor, temperature: float, task: Task) -> tf.Tensor:
    """Returns a model's outputs with the logits divided by the temperature."""
    if temperature == 1:
        return outputs
    if task is Task.MULTI_CLASS:  # the logarithm is the logits, up to a constant
        return tf.nn.softmax(tf.math.log(tf.maximum(outputs, SMALLEST)) / temperature)
    outputs = tf.clip_by_value(outputs, SATURATED, 1 - SATURATED)
    return tf.sigmoid((tf.math.log(outputs) - tf.math.log(1 - outputs)) / temperature)


def _class_scores(outputs: tf.Tensor, task: Task) -> tf.Tensor:
    """Does what `petalflow.model.task.class_scores` does, in the graph."""
    return tf.concat([1 - outputs, outputs], axis=1) if task is Task.BINARY else outputs
