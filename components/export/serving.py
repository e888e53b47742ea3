"""The signatures that a released model answers to."""

from pathlib import Path

import tensorflow as tf

from petalflow.model.decode import decode_image
from petalflow.model.files import TrainedModel
from petalflow.model.serving import Serving
from petalflow.model.task import LABEL_THRESHOLD, SATURATED, SMALLEST, Task

SCORES_SIGNATURE = "scores"


def write_saved_model(model: TrainedModel, folder: Path, serving: Serving) -> None:
    """Writes a SavedModel with three signatures.

    `serving_default` takes `image_bytes`, encoded images [n]; `pixels` takes `pixels`, uint8
    [n, size, size, 3]. Both give `scores` float32 [n, classes], `label` string [n], `score`
    float32 [n] and `accepted` bool [n]; where an image may have several labels, `scores` and
    `labels` bool [n, classes]. `scores` takes pixels too and gives the scores alone, for what
    has no strings (LiteRT is made from it).

    Args:
        model: What is served.
        folder: Where to write.
        serving: What is done with its scores.
    """
    size_px = model.image_size_px
    names = tf.constant(list(model.classes))

    pixels_spec = tf.TensorSpec([None, size_px, size_px, 3], tf.uint8, name="pixels")

    @tf.function(input_signature=[pixels_spec])  # traced once, for all three
    def scores_only(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model.keras_model(tf.cast(pixels, tf.float32), training=False)
        return {"scores": _class_scores(_apply_temperature(outputs, serving.temperature, model.task), model.task)}

    @tf.function(input_signature=[pixels_spec])
    def answer(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = scores_only(pixels)["scores"]
        if model.task is Task.MULTI_LABEL:
            return {"scores": scores, "labels": scores > LABEL_THRESHOLD}
        score = tf.reduce_max(scores, axis=1)
        label = tf.gather(names, tf.argmax(scores, axis=1))
        return {"scores": scores, "label": label, "score": score, "accepted": score >= serving.abstain_threshold}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def answer_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        pixel_spec = tf.TensorSpec([size_px, size_px, 3], tf.uint8)
        pixels = tf.map_fn(lambda data: decode_image(data, size_px), image_bytes, fn_output_signature=pixel_spec)
        answers: dict[str, tf.Tensor] = answer(pixels)
        return answers

    # Not Keras' ExportArchive, which traces the model over again for each signature.
    served = tf.Module()
    served.kept = [variable.value for variable in model.keras_model.variables]  # what the functions refer to
    signatures = {"serving_default": answer_bytes, "pixels": answer, SCORES_SIGNATURE: scores_only}
    tf.saved_model.save(served, str(folder), signatures=signatures)


def _apply_temperature(outputs: tf.Tensor, temperature: float, task: Task) -> tf.Tensor:
    """Returns what a model's outputs would be if its logits were divided by the temperature."""
    if temperature == 1:
        return outputs
    if task is Task.MULTI_CLASS:  # whose logits are its logarithm, up to a constant
        return tf.nn.softmax(tf.math.log(tf.maximum(outputs, SMALLEST)) / temperature)
    outputs = tf.clip_by_value(outputs, SATURATED, 1 - SATURATED)
    return tf.sigmoid((tf.math.log(outputs) - tf.math.log(1 - outputs)) / temperature)


def _class_scores(outputs: tf.Tensor, task: Task) -> tf.Tensor:
    """Returns what `petalflow.model.task.class_scores` does, as part of the graph."""
    return tf.concat([1 - outputs, outputs], axis=1) if task is Task.BINARY else outputs
