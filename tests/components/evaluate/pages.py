"""Reports of evaluations whose predictions are made up."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from playwright.sync_api import Page

from components.evaluate.checks import make_checks
from components.evaluate.evaluation import Evaluation
from components.evaluate.evidence import Evidence, add_bounds
from components.evaluate.images import EvaluatedImages
from components.evaluate.report import write_report
from components.evaluate.settings import EvaluateSettings
from petalflow.dataset import open_dataset
from petalflow.metrics.metrics import compute_metrics
from petalflow.metrics.predictions import Predictions
from petalflow.model.files import TrainedModel, load_model
from petalflow.verdict import Verdict
from tests.components.evaluate.samples import softmax


def convolutional(classes: int, activation: str = "softmax") -> keras.Model:
    """Returns a small network that was never trained, for images of 16 by 16."""
    keras.utils.set_random_seed(0)
    shown = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(4, 3, activation="relu")(shown)
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.MaxPooling2D()(maps))
    return keras.Model(shown, keras.layers.Dense(classes, activation)(features))


def write_made_up_report(
    path: Path, dataset_root: Path, model_folder: Path, settings: EvaluateSettings, skill: float = 2
) -> Predictions:
    """Writes the report on predictions that are correct more often the higher `skill` is, and returns them.

    Args:
        path: The file to write.
        dataset_root: The dataset.
        model_folder: Whose facts the page tells.
        settings: Of evaluate.
        skill: By how much the right class's logit is raised, in standard deviations; with 0 predictions are by chance.
    """
    dataset = open_dataset(dataset_root)
    images = EvaluatedImages.of(dataset, settings)
    model = load_model(model_folder)
    logits = np.random.default_rng(1).normal(size=images.labels.shape) + skill * images.labels
    predictions = Predictions.of(images.labels, softmax(logits), model.task)
    evidence = Evidence(
        dataset.classes,
        predictions,
        compute_metrics(predictions, dataset.classes, resamples=20),
        images.slices,
        0.5,
        None,
    )
    found = Evaluation(
        TrainedModel(convolutional(len(dataset.classes)), dataset.classes, model.task, 16, model.info),
        dataset, images, evidence, predictions, None, 1.0,
    )  # fmt: skip
    verdict = Verdict(
        checks=make_checks(add_bounds(evidence, settings), settings),
        candidate={"model_sha256": "0" * 64}, fingerprint=dataset.fingerprint,
        baseline={"version": None, "why": "nothing was released"}, class_names=dataset.classes,
        test_images=predictions.images, temperature=1.0, abstain_threshold=0.5,
    )  # fmt: skip
    write_report(path, found, verdict, model_folder, settings)
    return predictions


def curve_of(page: Page) -> dict[str, Any]:
    """Returns the thresholds of the slider."""
    curve: dict[str, Any] = json.loads(page.locator("#curve").text_content() or "")
    return curve
