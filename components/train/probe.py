"""A first look: how well the features of a network tell classes apart, judged on a few images in seconds."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.train.settings import FROM_SCRATCH, TrainSettings

# Height and width to which images are reduced if they are judged by their pixels.
PIXELS_PX = 16
_FOLDS = 5
_BATCH = 32
# The regularization suits a few hundred images of a thousand features.
_C = 0.05


@dataclass(frozen=True)
class FirstLook:
    """What a few images tell.

    Attributes:
        images: How many images were looked at.
        correct: How many of them a classifier got right that had not been trained on them.
        image_s: Seconds that the network takes for an image; 0 if only pixels were looked at.
        start_s: Seconds that TensorFlow takes to start; 0 if it was not needed.
        scores: Probabilities by a classifier that was not trained on the image, [images, classes]; None if unknown.
    """

    images: int
    correct: int
    image_s: float = 0.0
    start_s: float = 0.0
    scores: NDArray[np.float32] | None = None

    @property
    def accuracy(self) -> float:
        """The accuracy that it lets one expect, 0..1: Laplace's, which is never 1."""
        return (self.correct + 1) / (self.images + 2)


def look(images: NDArray[np.uint8], labels: NDArray[np.int64], settings: TrainSettings) -> FirstLook:
    """Returns how well a linear classifier does, by cross-validation on a few images.

    It sees the features of the settings' pretrained backbone, as the head of a training does. For a network that is
    trained from scratch it sees the pixels, which is less than the network makes of them.

    Args:
        images: Images as the network takes them, [n, size, size, 3].
        labels: Class indices, [n]; every class at least twice.
        settings: The network, backbone and size chosen.
    """
    start = time.monotonic()
    if settings.backbone in FROM_SCRATCH:
        features, start_s, image_s = images.reshape(len(images), -1) / 255, 0.0, 0.0
    else:
        features, start_s, image_s = _features(images, settings, start)
    scores = _cross_validated(features, labels)
    return FirstLook(len(images), int((scores.argmax(axis=1) == labels).sum()), image_s, start_s, scores)


def _features(
    images: NDArray[np.uint8], settings: TrainSettings, start: float
) -> tuple[NDArray[np.float64], float, float]:
    """Returns the features, [n, units], the seconds that the start took, and those that an image takes."""
    from components.train.backbones import load_backbone
    from petalflow.model.quiet import quiet_start

    backbone = load_backbone(settings.backbone, settings.size_px, settings.weights)
    with quiet_start():
        from components.train.networks import feature_model
    network = feature_model(backbone, settings.backbone, settings.size_px, settings.pooling)
    network.predict_on_batch(images[:_BATCH])  # traces the graph
    started = time.monotonic()
    batches = [network.predict_on_batch(images[at : at + _BATCH]) for at in range(0, len(images), _BATCH)]
    features = np.concatenate(batches).astype(np.float64)
    return features, started - start, (time.monotonic() - started) / len(images)


def _cross_validated(features: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Returns the probabilities of the classes, [n, classes], each by a classifier trained on other images."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = min(_FOLDS, int(np.bincount(labels).min()))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=_C, max_iter=300))
    splits = StratifiedKFold(folds, shuffle=True, random_state=0)
    scores = cross_val_predict(classifier, features, labels, cv=splits, method="predict_proba")
    return np.asarray(scores, np.float32)
