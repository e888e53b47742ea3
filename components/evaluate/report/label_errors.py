"""Likely label errors: images whose label the model contradicts with confidence."""

import numpy as np
from numpy.typing import NDArray


def label_errors(labels: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Returns the images whose label is likely wrong, the likeliest first.

    Confident learning (Northcutt, Jiang and Chuang 2021, doi:10.1613/jair.1.12125): a class is seen with confidence
    where its score is at least its mean score on the images labelled with it. An image counts where the class so seen,
    or the best of several, is not its label, unless the answer is its label: to a reader that contradicts nothing. They
    are in the order of the margin by which that class beats the label.

    Args:
        labels: The class that each image is said to be of, [n].
        scores: Probabilities, [n, classes], of a model that was not trained on these images.

    Returns:
        Indices of images, [0..n].
    """
    classes, images = scores.shape[1], np.arange(len(labels))
    own = scores[images, labels]
    sizes = np.bincount(labels, minlength=classes)
    # A class without images is never seen with confidence.
    usual = np.divide(np.bincount(labels, own, classes), sizes, out=np.full(classes, np.inf), where=sizes > 0)
    confident = np.where(scores >= usual, scores, -1.0)
    seen = confident.argmax(axis=1)
    found = np.flatnonzero((confident[images, seen] >= 0) & (seen != labels) & (scores.argmax(axis=1) != labels))
    margin = scores[found, seen[found]] - own[found]
    return np.asarray(found[np.argsort(-margin, kind="stable")], np.int64)
