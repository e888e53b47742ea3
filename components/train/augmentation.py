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
    """Returns a function that varies an image; the image and its seed alone decide what becomes of it."""
    moves, colours = _moves(settings), _colours(settings)

    def vary(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if not moves and not colours:
            return image
        height, width = image.shape[:2]
        matrix, numbers = _draw(moves, colours, height, width, seed)
        # One image at a time stays in the processor's cache, as a batch does not.
        varied = tf.cast(image, tf.float32)[None]
        if moves:
            varied = keras.ops.image.affine_transform(varied, tf.reshape(matrix, [1, 9])[:, :8], fill_mode="reflect")
        for (layer, name), number in zip(colours, numbers, strict=True):
            varied = layer.transform_images(varied, {name: number})
        return tf.cast(tf.round(varied[0]), tf.uint8)

    return vary


def show_variations(image: tf.Tensor, settings: AugmentSettings, seeds: Sequence[int]) -> list[tf.Tensor]:
    """Returns variations of one image, uint8 [height, width, 3] as it is, one for each seed."""
    vary = make_augmentation(settings)
    pairs = tf.data.Dataset.from_tensor_slices(tf.constant([(seed, 0) for seed in seeds], tf.int64))
    return list(pairs.map(lambda seed: vary(image, seed), num_parallel_calls=tf.data.AUTOTUNE))


class _Given(keras.random.SeedGenerator):
    """Known seeds, one a draw, where Keras' layers would count on in a state of their own."""

    def __init__(self, seeds: tf.Tensor) -> None:
        self._seeds = iter(tf.unstack(seeds))

    def next(self, ordered: bool = True) -> tf.Tensor:
        return next(self._seeds)


_Move = tuple[keras.layers.Layer, Callable[[Drawn, int, int], tf.Tensor]]


def _moves(settings: AugmentSettings) -> list[_Move]:
    """Returns the layers that move pixels, with what makes a matrix of what they draw, first to last."""
    layers, shift, zoom = keras.layers, settings.shift_fraction, settings.zoom_fraction
    moves: list[_Move] = []
    # Two layers for "both": the one of Keras that does both turns an image upside down or leaves it.
    if settings.flip in ("horizontal", "both"):
        moves.append((layers.RandomFlip("horizontal"), lambda drawn, height, width: _mirror_x(drawn, width)))
    if settings.flip in ("vertical", "both"):
        moves.append((layers.RandomFlip("vertical"), lambda drawn, height, width: _mirror_y(drawn, height)))
    if settings.rotation_degrees:
        moves.append((layers.RandomRotation(settings.rotation_degrees / 360), _turn))
    if shift:
        moves.append((layers.RandomTranslation(shift, shift), _shift))
    if zoom:
        moves.append((layers.RandomZoom(zoom), _zoom))
    return moves


def _colours(settings: AugmentSettings) -> list[tuple[keras.layers.Layer, str]]:
    """Returns the layers that change colours, each with the name of the one number that it draws."""
    layers, contrast, brightness = keras.layers, settings.contrast_fraction, settings.brightness_fraction
    colours = []
    if contrast:
        # Given one number, the layer only ever adds contrast.
        colours.append((layers.RandomContrast((contrast, contrast), value_range=(0, 255)), "contrast_factor"))
    if brightness:
        colours.append((layers.RandomBrightness(brightness, value_range=(0, 255)), "rgb_delta"))
    return colours


def _draw(
    moves: Sequence[_Move], colours: Sequence[tuple[keras.layers.Layer, str]], height: int, width: int, seed: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns what is done to an image: a matrix [3, 3] and a number for each of the layers of colours."""
    # A layer draws at most twice.
    seeds = _Given(tf.random.experimental.stateless_split(seed, 2 * (len(moves) + len(colours))))
    shape = tf.zeros([1, height, width, 3])  # all that layers look at
    matrix = tf.eye(3)
    for layer, to_matrix in moves:
        # They say where a pixel is taken from, so that the last move is asked first.
        matrix @= to_matrix(layer.get_random_transformation(shape, training=True, seed=seeds), height, width)
    return matrix, [layer.get_random_transformation(shape, training=True, seed=seeds)[name] for layer, name in colours]


def _matrix(*numbers: tf.Tensor | float) -> tf.Tensor:
    return tf.reshape(tf.stack([*numbers, 0.0, 0.0, 1.0]), [3, 3])


def _mirror_x(drawn: Drawn, width: int) -> tf.Tensor:
    flipped = tf.cast(tf.reshape(drawn["flips"], []), tf.float32)
    return _matrix(1 - 2 * flipped, 0.0, flipped * (width - 1), 0.0, 1.0, 0.0)


def _mirror_y(drawn: Drawn, height: int) -> tf.Tensor:
    flipped = tf.cast(tf.reshape(drawn["flips"], []), tf.float32)
    return _matrix(1.0, 0.0, 0.0, 0.0, 1 - 2 * flipped, flipped * (height - 1))


def _turn(drawn: Drawn, height: int, width: int) -> tf.Tensor:
    return tf.reshape(tf.concat([drawn["rotation_matrix"][0], [1.0]], axis=0), [3, 3])


def _shift(drawn: Drawn, height: int, width: int) -> tf.Tensor:
    right, down = tf.unstack(drawn["translations"][0])
    return _matrix(1.0, 0.0, -right, 0.0, 1.0, -down)


def _zoom(drawn: Drawn, height: int, width: int) -> tf.Tensor:
    x, y = drawn["width_zoom"][0, 0], drawn["height_zoom"][0, 0]
    return _matrix(x, 0.0, (width - 1) / 2 * (1 - x), 0.0, y, (height - 1) / 2 * (1 - y))
