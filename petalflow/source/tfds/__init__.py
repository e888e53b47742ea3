"""Data sets of TensorFlow Datasets as sources, read without TensorFlow."""
