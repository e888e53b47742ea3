"""Train a classifier on a dataset."""
