"""The signatures of a released model."""

from pathlib import Path

import tensorflow as tf

from petalflow.imaging import Colour
from petalflow.model.decode import WHITE, decode_image
from petalflow.model.files import TrainedModel
from petalflow.model.serving import Serving
from petalflow.model.task import LABEL_THRESHOLD, SATURATED, SMALLEST, Task

SCORES_SIGNATURE = "scores"


def write_saved_model(model: TrainedModel, folder: Path, serving: Serving, background: Colour = WHITE) -> None:
    """Writes a SavedModel with three signatures.

    `serving_default` takes `image_bytes`, encoded images [n]; `pixels` takes `pixels`, uint8 [n, size, size, 3]. Both
    return `scores` float32 [n, classes], `label` string [n], `score` float32 [n] and `accepted` bool [n]; if images may
    have several labels, `scores` and `labels` bool [n, classes]. `scores` takes pixels, too, and returns the scores
    only, for formats without strings (LiteRT is converted from it).

    `serving_default` also returns `readable` bool [n]. An image that cannot be decoded is not readable, and neither is
    one whose pixels would differ from those of a dataset (`decode_pixels` lists them); it does not affect the others of
    its batch. Its scores are 0, its label is "", it is not accepted and has no labels.

    Args:
        model: The model to serve.
        folder: The folder to write to.
        serving: How the served model uses the scores.
        background: RGB, 0..255, shown where an image is transparent, as in the dataset.
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
        pixels, readable = _decode(image_bytes, size_px, background)
        return {**_blank_unreadable(predict(pixels), readable), "readable": readable}

    # Not Keras' ExportArchive, which traces the model again for each signature.
    served = tf.Module()
    served.kept = [variable.value for variable in model.keras_model.variables]  # the functions refer to them
    signatures = {"serving_default": predict_bytes, "pixels": predict, SCORES_SIGNATURE: scores_only}
    tf.saved_model.save(served, str(folder), signatures=signatures)


def _decode(image_bytes: tf.Tensor, size_px: int, background: Colour) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the pixels of images, uint8 [n, size, size, 3], and which are readable, bool [n]; the others are black.

    A graph cannot catch the error of a decoder, but a dataset can leave the image out.
    """
    count = tf.size(image_bytes, tf.int64)
    numbered = tf.data.Dataset.from_tensor_slices(image_bytes).enumerate()
    decoded = numbered.map(
        lambda number, data: (number, decode_image(data, size_px, background=background)),
        num_parallel_calls=tf.data.AUTOTUNE,
    ).ignore_errors()
    # After all others, so that there is a batch even if no image is readable.
    last = tf.data.Dataset.from_tensors((count, tf.zeros([size_px, size_px, 3], tf.uint8)))
    numbers, pixels = decoded.concatenate(last).batch(count + 1).get_single_element()
    pixels = tf.scatter_nd(numbers[:, None], pixels, [count + 1, size_px, size_px, 3])
    readable = tf.scatter_nd(numbers[:, None], tf.ones_like(numbers), [count + 1]) > 0
    return pixels[:-1], readable[:-1]


def _blank_unreadable(predictions: dict[str, tf.Tensor], readable: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns predictions, by name [n, ...], without those for unreadable images."""
    return {
        name: tf.where(tf.reshape(readable, [-1] + [1] * (len(value.shape) - 1)), value, tf.zeros_like(value))
        for name, value in predictions.items()
    }


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
