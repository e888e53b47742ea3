"""Where a model looked: Grad-CAM, and its heat laid over a picture."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image, ImageOps

from components.evaluate.report.layers import Step, unnested
from components.evaluate.report.pictures import Picture, embedded
from petalflow.metrics.predictions import Predictions
from petalflow.model.files import TrainedModel
from petalflow.model.task import Task

# What a CPU's caches hold of a network's maps, as for scoring.
_BATCH = 32
_LONGEST_PX, _QUALITY = 160, 80
# The eye tells its steps apart in every form of colour blindness, and in grey.
_COLOURS = "inferno"
# How much of the colour is seen where it is coldest and hottest: a colour that is nearly black hides what is below.
_COLDEST_SHARE, _HOTTEST_SHARE = 0.25, 0.6


@dataclass(frozen=True)
class Look:
    """Where a model looked in an image.

    Attributes:
        image: Index of the image.
        heats: A class and, as the address of a picture, where the image speaks for it; first the class answered.
    """

    image: int
    heats: Sequence[tuple[int, str]]


def looks(
    model: TrainedModel,
    mistakes: Sequence[tuple[int, int]],
    inputs: NDArray[np.uint8],
    pictures: Mapping[int, Picture],
    predictions: Predictions,
) -> list[Look]:
    """Returns where the model looked, for the class that it answered and the one that it should have answered.

    Args:
        model: The model.
        mistakes: Indices of images, and the class answered for each.
        inputs: These images as the model sees them, uint8 [m, size, size, 3].
        pictures: By index, of these images.
        predictions: To the test images.

    Returns:
        As many as there are mistakes; none of a network without convolutions.
    """
    pairs = [(at, said) for at, (_, said) in enumerate(mistakes)]
    if predictions.task is not Task.MULTI_LABEL:  # of several labels, none stands in for the wrong one
        labels = predictions.label_indices
        pairs += [(at, int(labels[image])) for at, (image, _) in enumerate(mistakes)]
    if not pairs:
        return []
    ats, classes = np.array(pairs).T
    heats = gradcams(model, inputs[ats], classes)
    if heats is None:
        return []
    found: list[list[tuple[int, str]]] = [[] for _ in mistakes]
    for (at, of_class), heat in zip(pairs, heats, strict=True):
        picture = overlay(pictures[mistakes[at][0]].pixels, heat)
        found[at].append((of_class, embedded(picture, "image/jpeg")))
    return [Look(image, of_one) for (image, _), of_one in zip(mistakes, found, strict=True)]


def gradcams(model: TrainedModel, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """Returns where in each image a class was seen, by Grad-CAM.

    The last map with more than one place is summed over its channels, each weighted by how much it moves the class's
    logit on average over the map, and what is negative is cut off (Selvaraju et al. 2017, arXiv:1610.02391,
    doi:10.1109/ICCV.2017.74, equations 1 and 2). It says where, as coarsely as that map is, and not why.

    Args:
        model: The model; its last layer is dense.
        images: uint8 [n, size, size, 3], of the model's own size.
        classes: The class of each image whose score is explained, [n]. The first of two is explained by the second's
            logit, negated.

    Returns:
        float32 [n, height, width] of the map, each with 1 where it is highest, or 0 everywhere if nothing in the image
        speaks for the class; None for a network without convolutions.
    """
    network = unnested(model.keras_model)
    seen = _last_map(network.steps)
    if seen is None:
        return None
    last = network.steps[-1]
    heat = _heat_graph(keras.Model(network.input, [seen, *last.inputs]))
    directions = _class_directions(last.layer.kernel.numpy(), model.task)[classes]
    heats = [np.zeros((0, *seen.shape[1:3]), np.float32)]
    for start in range(0, len(images), _BATCH):
        batch = slice(start, start + _BATCH)
        heats.append(heat(images[batch], directions[batch]).numpy())
    return _scaled(np.concatenate(heats))


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> bytes:
    """Returns a small JPEG file of a picture in grey with the heat over it in colours: dark is cold, yellow is hot.

    Args:
        image: uint8 [height, width, 3], of any size and shape; the model may have seen it squeezed to a square.
        heat: 0..1, [rows, columns], over the whole picture.
    """
    from matplotlib import colormaps  # here: not all who compute heat draw it

    # Tiny images are enlarged without smoothing, so that their pixels can be seen.
    resampling = Image.Resampling.NEAREST if max(image.shape[:2]) < _LONGEST_PX else Image.Resampling.LANCZOS
    small = ImageOps.contain(Image.fromarray(image), (_LONGEST_PX, _LONGEST_PX), resampling)
    smooth = Image.fromarray(np.asarray(heat, np.float32)).resize(small.size, Image.Resampling.BICUBIC)
    warmth = np.clip(np.asarray(smooth), 0, 1)[..., None]
    # In grey, so that every colour is the heat's.
    grey = np.asarray(ImageOps.autocontrast(small.convert("L")))[..., None]
    colours = 255 * colormaps[_COLOURS](warmth[..., 0])[..., :3]
    share = _COLDEST_SHARE + (_HOTTEST_SHARE - _COLDEST_SHARE) * warmth
    blended = Image.fromarray(np.round((1 - share) * grey + share * colours).astype(np.uint8))
    buffer = io.BytesIO()
    blended.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _last_map(steps: Sequence[Step]) -> keras.KerasTensor | None:
    """Returns the last map of more than one place that all goes through, behind a convolution; None if there is none.

    Where images are small, a backbone may end in maps of one place.
    """
    first = next((index for index, step in enumerate(steps) if step.is_convolution), len(steps))
    read = {id(steps[-1].output)}
    for step in reversed(steps[first:]):
        # Padding would move what lies in the map against the image.
        padding = isinstance(step.layer, keras.layers.ZeroPadding2D)
        if step.is_map and read == {id(step.output)} and not padding:
            return step.output
        read = read - {id(step.output)} | {id(x) for x in step.inputs}
    return None


def _class_directions(kernel: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    """Returns the gradient of each class's logit by the last layer's input, [classes, features]."""
    return np.concatenate([-kernel, kernel], axis=1).T if task is Task.BINARY else kernel.T


def _heat_graph(network: keras.Model) -> tf.types.experimental.PolymorphicFunction:
    """Returns a graph that gives the heat [n, height, width], 0 and more, of images and directions [n, features].

    Args:
        network: Images to the map and to the last layer's input, [n, features].
    """

    # As a graph, which frees a map as soon as it is read, and computes gradients no further down than to the last.
    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, *network.input.shape[1:]], tf.uint8),
            tf.TensorSpec([None, network.outputs[1].shape[-1]], tf.float32),
        ],
    )
    def heat(images: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
        maps, features = network(tf.cast(images, tf.float32), training=False)
        (slopes,) = tf.gradients(tf.cast(features, tf.float32) * directions, maps)
        weights = tf.reduce_mean(slopes, axis=(1, 2), keepdims=True)
        return tf.cast(tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1)), tf.float32)

    return heat


def _scaled(heats: NDArray[np.float32]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = heats / np.maximum(heats.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)
    return scaled
