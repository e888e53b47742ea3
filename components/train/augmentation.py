"""Data augmentation in tf.data, never inside the model, by Keras' own layers.

The layers draw the amounts; all geometric ones are combined into one transformation, so that pixels are interpolated
once. The draws depend on the image's own seed alone, never on earlier draws, so that a training can resume in the
middle of an epoch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from components.train.data import Augmentation
from components.train.settings import AugmentSettings

Drawn = Mapping[str, Any]


def make_augmentation(settings: AugmentSettings) -> Augmentation:
    """Returns a function that varies an image; its result depends on the image and its seed alone."""
    transforms, colours = geometric_transforms(settings), _colour_layers(settings)

    def vary(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if not transforms and not colours:
            return image
        height, width = image.shape[:2]
        matrix, amounts = _draw(transforms, colours, height, width, seed)
        # One image at a time: unlike a batch, it stays in the processor's cache.
        varied = tf.cast(image, tf.float32)[None]
        if transforms:
            varied = keras.ops.image.affine_transform(varied, tf.reshape(matrix, [1, 9])[:, :8], fill_mode="reflect")
        for (layer, name), amount in zip(colours, amounts, strict=True):
            varied = layer.transform_images(varied, {name: amount})
        return tf.cast(tf.round(varied[0]), tf.uint8)

    return vary


def make_variations(image: tf.Tensor, settings: AugmentSettings, seeds: Sequence[int]) -> list[tf.Tensor]:
    """Returns one variation of an image per seed; all are uint8 [height, width, 3]."""
    vary = make_augmentation(settings)
    pairs = tf.data.Dataset.from_tensor_slices(tf.constant([(seed, 0) for seed in seeds], tf.int64))
    return list(pairs.map(lambda seed: vary(image, seed), num_parallel_calls=tf.data.AUTOTUNE))


class FixedSeeds(keras.random.SeedGenerator):
    """Seeds handed to Keras' layers, one per draw, in place of a generator that keeps a state."""

    def __init__(self, seeds: tf.Tensor) -> None:
        self._seeds = iter(tf.unstack(seeds))

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Returns the next seed."""
        return next(self._seeds)


# A layer and the function that makes a matrix [3, 3] of what it draws, the image's height and its width.
GeometricTransform = tuple[keras.layers.Layer, Callable[[Drawn, int, int], tf.Tensor]]


def geometric_transforms(settings: AugmentSettings) -> list[GeometricTransform]:
    """Returns the layers that move pixels, in the order in which they apply."""
    layers, shift, zoom = keras.layers, settings.shift_fraction, settings.zoom_fraction
    transforms: list[GeometricTransform] = []
    # Two layers for "both": Keras' single layer flips along both axes at once or not at all.
    if settings.flip in ("horizontal", "both"):
        transforms.append((layers.RandomFlip("horizontal"), _flip_horizontally))
    if settings.flip in ("vertical", "both"):
        transforms.append((layers.RandomFlip("vertical"), _flip_vertically))
    if settings.rotation_degrees:
        transforms.append((layers.RandomRotation(settings.rotation_degrees / 360), _rotate))
    if shift:
        transforms.append((layers.RandomTranslation(shift, shift), _translate))
    if zoom:
        transforms.append((layers.RandomZoom(zoom), _zoom))
    return transforms


def _colour_layers(settings: AugmentSettings) -> list[tuple[keras.layers.Layer, str]]:
    """Returns the layers that change colours, each with the name of the amount that it draws."""
    layers, contrast, brightness = keras.layers, settings.contrast_fraction, settings.brightness_fraction
    colours = []
    if contrast:
        # With a single factor, the layer only ever raises the contrast.
        colours.append((layers.RandomContrast((contrast, contrast), value_range=(0, 255)), "contrast_factor"))
    if brightness:
        colours.append((layers.RandomBrightness(brightness, value_range=(0, 255)), "rgb_delta"))
    return colours


def _draw(
    transforms: Sequence[GeometricTransform],
    colours: Sequence[tuple[keras.layers.Layer, str]],
    height: int,
    width: int,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns what an image's seed decides: a matrix [3, 3], and an amount for each colour layer."""
    # A layer draws at most twice.
    seeds = FixedSeeds(tf.random.experimental.stateless_split(seed, 2 * (len(transforms) + len(colours))))
    shape = tf.zeros([1, height, width, 3])  # the layers only read its shape
    matrix = tf.eye(3)
    for layer, to_matrix in transforms:
        # A matrix maps an output pixel to its source, so the transforms multiply from first to last.
        matrix @= to_matrix(layer.get_random_transformation(shape, training=True, seed=seeds), height, width)
    return matrix, [layer.get_random_transformation(shape, training=True, seed=seeds)[name] for layer, name in colours]


def _matrix(*values: tf.Tensor | float) -> tf.Tensor:
    return tf.reshape(tf.stack([*values, 0.0, 0.0, 1.0]), [3, 3])


def _flip_horizontally(drawn: Drawn, height: int, width: int) -> tf.Tensor:
    flipped = tf.cast(tf.reshape(drawn["flips"], []), tf.float32)
    return _matrix(1 - 2 * flipped, 0.0, flipped * (width - 1), 0.0, 1.0, 0.0)


def _flip_vertically(drawn: Drawn, height: int, width: int) -> tf.Tensor:
    flipped = tf.cast(tf.reshape(drawn["flips"], []), tf.float32)
    return _matrix(1.0, 0.0, 0.0, 0.0, 1 - 2 * flipped, flipped * (height - 1))


def _rotate(drawn: Drawn, height: int, width: int) -> tf.Tensor:
    return tf.reshape(tf.concat([drawn["rotation_matrix"][0], [1.0]], axis=0), [3, 3])


def _translate(drawn: Drawn, height: int, width: int) -> tf.Tensor:
    right, down = tf.unstack(drawn["translations"][0])
    return _matrix(1.0, 0.0, -right, 0.0, 1.0, -down)


def _zoom(drawn: Drawn, height: int, width: int) -> tf.Tensor:
    x, y = drawn["width_zoom"][0, 0], drawn["height_zoom"][0, 0]
    return _matrix(x, 0.0, (width - 1) / 2 * (1 - x), 0.0, y, (height - 1) / 2 * (1 - y))
