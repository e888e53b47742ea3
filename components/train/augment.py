"""Variations of training images, in tf.data and never in the model."""

from collections.abc import Sequence

import tensorflow as tf

from components.train.feeding import Augmentation
from components.train.settings import AugmentSettings


def make_augmentation(settings: AugmentSettings) -> Augmentation:
    """Returns a function that varies an image: the same one and the same seed give the same variation."""
    raise NotImplementedError


def show_variations(image: tf.Tensor, settings: AugmentSettings, seeds: Sequence[int]) -> list[tf.Tensor]:
    """Returns variations of one image."""
    raise NotImplementedError
