"""Where the model looked: Grad-CAM heat maps, overlaid on images."""

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

# Sized so that feature maps fit into CPU caches, as in scoring.
_BATCH = 32
_LONGEST_PX, _QUALITY = 160, 80
# Perceptually uniform, and readable with colour blindness and in greyscale.
_COLOURS = "inferno"
# Opacity of the colour where the heat is lowest and highest: near-black colours would hide the image.
_COLDEST_SHARE, _HOTTEST_SHARE = 0.25, 0.6


@dataclass(frozen=True)
class Look:
    """Where the model looked in an image.

    Attributes:
        image: Index of the image.
        heats: For the predicted class, then for the label: the class and its heat map as a data URI.
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
    """Returns where the model looked on its mistakes, for the predicted class and for the label.

    Args:
        model: The model.
        mistakes: Indices of images, each with the wrongly predicted class.
        inputs: The input of the model for these images, uint8 [m, size, size, 3].
        pictures: Thumbnails of these images, by index.
        predictions: The predictions for the test images.

    Returns:
        One per mistake; empty for a network without convolutions.
    """
    pairs = [(at, wrong) for at, (_, wrong) in enumerate(mistakes)]
    if predictions.task is not Task.MULTI_LABEL:  # with several labels, no label corresponds to the wrong one
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
    """Returns Grad-CAM heat maps: which regions of each image support a class.

    The last feature map larger than 1×1 is summed over its channels, each weighted by the mean gradient of the class's
    logit over the map, and negative values are cut off (Selvaraju et al. 2017, arXiv:1610.02391,
    doi:10.1109/ICCV.2017.74, equations 1 and 2). The result is as coarse as that map, and shows where, not why.

    Args:
        model: The model; its last layer must be dense.
        images: uint8 [n, size, size, 3], at the model's input size.
        classes: The class to explain for each image, [n]. For two classes, the first is explained by the negated logit
            of the second.

    Returns:
        float32 [n, height, width], scaled to a maximum of 1, or 0 everywhere if nothing in the image supports the
        class; None for a network without convolutions.
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
    """Returns a small JPEG file of an image in greyscale with its heat map in colour: dark is low, yellow is high.

    Args:
        image: uint8 [height, width, 3], of any size and aspect ratio.
        heat: 0..1, [rows, columns], covering the whole image.
    """
    from matplotlib import colormaps  # imported here because computing heat maps does not need it

    # Enlarge tiny images without smoothing, so that their pixels stay visible.
    resampling = Image.Resampling.NEAREST if max(image.shape[:2]) < _LONGEST_PX else Image.Resampling.LANCZOS
    small = ImageOps.contain(Image.fromarray(image), (_LONGEST_PX, _LONGEST_PX), resampling)
    smooth = Image.fromarray(np.asarray(heat, np.float32)).resize(small.size, Image.Resampling.BICUBIC)
    warmth = np.clip(np.asarray(smooth), 0, 1)[..., None]
    # In greyscale, so that all colour comes from the heat map.
    grey = np.asarray(ImageOps.autocontrast(small.convert("L")))[..., None]
    colours = 255 * colormaps[_COLOURS](warmth[..., 0])[..., :3]
    share = _COLDEST_SHARE + (_HOTTEST_SHARE - _COLDEST_SHARE) * warmth
    blended = Image.fromarray(np.round((1 - share) * grey + share * colours).astype(np.uint8))
    buffer = io.BytesIO()
    blended.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _last_map(steps: Sequence[Step]) -> keras.KerasTensor | None:
    """Returns the last feature map larger than 1×1 that every path passes through, after a convolution, or None.

    With small images, a backbone may end in 1×1 maps.
    """
    first = next((index for index, step in enumerate(steps) if step.is_convolution), len(steps))
    read = {id(steps[-1].output)}
    for step in reversed(steps[first:]):
        # Padding would shift the map relative to the image.
        padding = isinstance(step.layer, keras.layers.ZeroPadding2D)
        if step.is_map and read == {id(step.output)} and not padding:
            return step.output
        read = read - {id(step.output)} | {id(x) for x in step.inputs}
    return None


def _class_directions(kernel: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    """Returns the gradient of each class's logit with respect to the last layer's input, [classes, features]."""
    return np.concatenate([-kernel, kernel], axis=1).T if task is Task.BINARY else kernel.T


def _heat_graph(network: keras.Model) -> tf.types.experimental.PolymorphicFunction:
    """Returns a graph that maps images and directions [n, features] to heat [n, height, width], at least 0.

    Args:
        network: Maps images to the feature map and to the last layer's input, [n, features].
    """

    # A graph frees each feature map after use and computes gradients only down to the last map.
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
