"""Which images an epoch shows, and in which order, by seed and epoch alone, so that a training can be taken up."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def epoch_order(images: int, seed: int, epoch: int, shares: NDArray[np.float64] | None = None) -> Indices:
    """Returns the indices of the images of an epoch, shuffled.

    Args:
        images: How many there are.
        seed: Of the training.
        epoch: From 0.
        shares: How often to show each image on average, [images]; None for each once.

    Returns:
        int64 [about the sum of shares].
    """
    generator = np.random.default_rng([seed, epoch])
    if shares is None:
        return generator.permutation(images)
    # 1.3 times is once, and once more for three images in ten, others each epoch.
    times = np.floor(shares + generator.random(images)).astype(np.int64)
    return generator.permutation(np.repeat(np.arange(images), times))


def epoch_seed(seed: int, epoch: int) -> int:
    """Returns a seed for an epoch, 0 to 2**31 - 1; unlike a sum, not that of the epoch before of the next seed."""
    return int(np.random.default_rng([seed, epoch]).integers(2**31))


def class_weights(labels: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """Returns a weight for each image, [n], mean 1, by which all classes count the same.

    Args:
        labels: Class indices, [n], or 0 and 1 a class, [n, classes]. An image of several classes weighs what they
            weigh on average, one of none 1.
        classes: How many there are; one without an image weighs nothing.
    """
    hot = np.eye(classes)[labels] if labels.ndim == 1 else labels.astype(np.float64)
    counts = hot.sum(axis=0)
    per_class = np.divide(1, counts, out=np.zeros(classes), where=counts > 0)
    per_class /= per_class[counts > 0].mean()
    mine = hot.sum(axis=1)
    weights = np.divide(hot @ per_class, mine, out=np.ones(len(hot)), where=mine > 0)
    return np.asarray(weights / weights.mean(), np.float64)
