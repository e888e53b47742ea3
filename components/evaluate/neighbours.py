"""A second opinion on all labels of a small dataset: the classes of the images that look most alike.

The test split of a small dataset has a handful of images from a bad batch, too few to tell it from chance. The features
of a frozen backbone do not depend on the labels, so with them the training images can be looked at as well.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from petalflow.dataset import Dataset, Entry
from petalflow.model.files import TrainedModel
from petalflow.model.task import Task
from petalflow.progress import Counter
from petalflow.splits import SPLITS

# With more, the test split alone shows a bad batch, and the features would take minutes.
MOST_IMAGES = 2000
_NEIGHBOURS = 10
_FROM_SCRATCH = ("cnn", "dense")


def has_frozen_backbone(model: TrainedModel) -> bool:
    """Returns True if only the head of a network was trained, so that its features do not depend on the labels."""
    settings = model.info.get("settings", {})
    recipe, notes = settings.get("recipe"), model.info.get("notes", ())
    only_head = recipe == "head" or (recipe == "auto" and any(note.startswith("recipe head") for note in notes))
    return only_head and settings.get("backbone") not in _FROM_SCRATCH and settings.get("weights") != "none"


def neighbour_scores(
    model: TrainedModel, dataset: Dataset
) -> tuple[NDArray[np.int64], NDArray[np.float32], Sequence[Entry]]:
    """Returns for all images of a dataset their labels, scores and index entries.

    The score of a class is its share of the ten images that look most alike, the image itself left out.

    Args:
        model: A model with a frozen backbone.
        dataset: The dataset, with one label per image; memory grows with the square of its number of images.

    Returns:
        The labels [n], the scores [n, classes], and the entries [n].
    """
    import keras

    from petalflow.model.scoring import score_model

    network = keras.Model(model.keras_model.input, model.keras_model.layers[-2].output)
    # As one output per class, the features are returned as they are.
    extractor = dataclasses.replace(model, keras_model=network, task=Task.MULTI_CLASS)
    splits = [split for split in SPLITS if dataset.size(split)]
    counter = Counter("evaluate", sum(map(dataset.size, splits)), "images, for their labels")
    features = np.concatenate([score_model(extractor, dataset, split, counter) for split in splits])
    entries = [entry for split in splits for entry in dataset.entries(split)]
    labels = np.array([entry.labels[0] for entry in entries], np.int64)
    return labels, vote(features, labels, len(dataset.classes)), entries


def vote(features: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Returns the share of each class among an image's nearest others by cosine similarity, [n, classes].

    Args:
        features: The features, [n, features].
        labels: The label of each image, [n].
        classes: Number of classes.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.where(lengths > 0, lengths, 1)
    alike = directions @ directions.T
    np.fill_diagonal(alike, -np.inf)
    count = min(_NEIGHBOURS, len(labels) - 1)
    nearest = np.argsort(-alike, axis=1, kind="stable")[:, :count]
    return np.asarray(np.eye(classes, dtype=np.float32)[labels[nearest]].mean(axis=1), np.float32)
