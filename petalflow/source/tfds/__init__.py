"""Datasets of TensorFlow Datasets as sources, read without TensorFlow."""

from petalflow.source.tfds.dataset import Dataset, prepared_folder, recognises
from petalflow.source.tfds.named import Name, is_name

__all__ = ["Dataset", "Name", "is_name", "prepared_folder", "recognises"]
