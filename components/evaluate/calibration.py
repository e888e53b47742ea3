"""What the validation split decides: the temperature of the scores, and the score below which the model abstains."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluate.images import label_matrix
from components.evaluate.scoring import score_candidate
from components.evaluate.settings import EvaluateSettings
from petalflow.dataset import Dataset
from petalflow.metrics.calibration import find_temperature
from petalflow.metrics.predictions import Predictions
from petalflow.model.files import TrainedModel
from petalflow.model.task import apply_temperature
from petalflow.progress import Counter
from petalflow.verdict import clopper_pearson_lower

# The temperature is a single number; more images would not change it noticeably.
_MOST_IMAGES = 2000


@dataclass(frozen=True)
class Calibration:
    """The values chosen on the validation split, since the test split must only judge.

    Attributes:
        temperature: Divides the logits; 1 leaves the scores as they are.
        abstain_threshold: The model abstains where its top score is lower, 0..1; None if no threshold reaches
            `abstain_below_accuracy`.
    """

    temperature: float
    abstain_threshold: float | None


def validation_images(dataset: Dataset, settings: EvaluateSettings) -> int:
    """Returns how many validation images `calibrate` scores."""
    needed = settings.calibrate or settings.abstain_below_accuracy is not None
    return min(dataset.size("validation"), _MOST_IMAGES) if needed else 0


def calibrate(model: TrainedModel, dataset: Dataset, settings: EvaluateSettings, counter: Counter) -> Calibration:
    """Chooses temperature and abstain threshold on the validation split.

    Args:
        model: The candidate.
        dataset: The dataset.
        settings: The settings of evaluate.
        counter: Counts the images.

    Raises:
        PetalflowError: If the candidate's scores are NaN or infinite.
    """
    images, accuracy = validation_images(dataset, settings), settings.abstain_below_accuracy
    if not images:
        return Calibration(1.0, settings.abstain_threshold if accuracy is None else None)
    scores = score_candidate(model, dataset, "validation", counter, images)
    labels = label_matrix(list(dataset.entries("validation"))[:images], len(dataset.classes))
    temperature = find_temperature(labels, scores, model.task) if settings.calibrate else 1.0
    if accuracy is None:
        return Calibration(temperature, settings.abstain_threshold)
    predictions = Predictions.of(labels, apply_temperature(scores, temperature, model.task), model.task)
    return Calibration(temperature, Abstention.of(predictions).threshold_for(accuracy))


@dataclass(frozen=True)
class Abstention:
    """How many images a model predicts, and how many of these correctly, at each threshold.

    Attributes:
        confidence: Top score of each image, [n], 0..1.
        correct: True where the class with the top score is correct, [n].
    """

    confidence: NDArray[np.float32]
    correct: NDArray[np.bool_]

    @classmethod
    def of(cls, predictions: Predictions) -> "Abstention":
        """Returns the abstention curve of a model's predictions."""
        return cls(predictions.confidence, predictions.correct)

    def at(self, threshold: float) -> tuple[int, int]:
        """Returns how many images have a top score of at least `threshold`, and how many of these are correct."""
        predicted = self.confidence >= np.float32(threshold)
        return int(predicted.sum()), int((predicted & self.correct).sum())

    def curve(self) -> list[tuple[float, int, int]]:
        """Returns every distinct threshold, ascending, with the number of images predicted and predicted correctly."""
        order = np.argsort(self.confidence, kind="stable")
        confidence = self.confidence[order]
        correct = np.cumsum(self.correct[order][::-1])[::-1]
        firsts = np.flatnonzero(np.diff(confidence, prepend=np.float32(-1)))  # the first of equal scores
        return [(float(confidence[at]), len(confidence) - int(at), int(correct[at])) for at in firsts]

    def threshold_for(self, accuracy: float) -> float | None:
        """Returns the lowest threshold above which the accuracy, by its lower 95 % bound, is at least `accuracy`.

        Args:
            accuracy: Accuracy required of the images not abstained from, 0..1.

        Returns:
            None if no threshold reaches it on this many images.
        """
        reached = (
            threshold
            for threshold, predicted, correct in self.curve()
            if correct >= accuracy * predicted and clopper_pearson_lower(correct, predicted) >= accuracy
        )
        return next(reached, None)
