"""Export a candidate, and verify that the export gives the same scores."""

import contextlib
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from components.export.litert import write_litert
from components.export.serving import write_saved_model
from components.export.settings import ExportSettings
from petalflow import storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.errors import PetalflowError
from petalflow.imaging import parse_colour
from petalflow.model.exported import LABELS_FILE, LITERT_FILE, Exported
from petalflow.model.files import MODEL_FILE, TrainedModel, load_model, model_sha256
from petalflow.model.scoring import Scores, score_model
from petalflow.model.serving import Serving
from petalflow.model.task import apply_temperature
from petalflow.run.execution import last_error

log = logging.getLogger(__name__)


def export(
    model_folder: str | Path, dataset_root: str | Path, serving: Serving, out: str | Path, settings: ExportSettings
) -> Exported:
    """Writes a SavedModel with its Keras and LiteRT models, its labels and export.json to the folder `out`.

    It does not depend on the verdict, which differs in each run, so that the same model is not exported twice.

    Args:
        model_folder: Folder of the model, written by train.
        dataset_root: Folder of the dataset that the model was evaluated on.
        serving: How the served model uses the scores.
        out: Folder to create.
        settings: What to write, and how closely to compare.

    Raises:
        PetalflowError: If the export's scores differ from the model's.
    """
    dataset, model = open_dataset(dataset_root), load_model(model_folder)
    background = dataset.statistics.get("preparation", {}).get("rules", {}).get("background", Exported.background)
    with storage.building(out) as folder, _verifier(folder, dataset, settings) as verifier:
        write_saved_model(model, folder, serving, parse_colour(background))
        shutil.copy(Path(model_folder) / MODEL_FILE, folder)
        if settings.litert:
            write_litert(folder, folder / LITERT_FILE)
        images, difference = _verify(verifier, _expected_scores(model, dataset, serving, settings.checked_images))
        log.info("equals the evaluated model on %d images, within %.1e", images, difference)
        (folder / LABELS_FILE).write_text("".join(f"{name}\n" for name in model.classes))
        exported = Exported(
            fingerprint=model.info["fingerprint"],
            class_names=model.classes,
            serving=serving,
            model_sha256=model_sha256(model_folder),
            backbone=model.info["settings"]["backbone"],
            parameters=model.info["parameters"],
            image_size_px=model.image_size_px,
            checked_images=images,
            largest_difference=difference,
            task=model.task,
            warm_started_from=model.info.get("warm_started_from") or None,
            background=background,
        )
        exported.write(folder)
    return exported


def _expected_scores(model: TrainedModel, dataset: Dataset, serving: Serving, images: int) -> Scores:
    """Returns the scores that the export must give: the Keras model's own, with the temperature applied."""
    return apply_temperature(score_model(model, dataset, "test", limit=images), serving.temperature, model.task)


@contextlib.contextmanager
def _verifier(folder: Path, dataset: Dataset, settings: ExportSettings) -> Iterator["subprocess.Popen[str]"]:
    """Starts a process that does not have the model; it imports TensorFlow while the export is written."""
    command = [
        sys.executable,
        "-m",
        "components.export.verify",
        str(folder),
        str(dataset.root),
        str(settings.tolerance),
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _verify(verifier: "subprocess.Popen[str]", expected: Scores) -> tuple[int, float]:
    """Lets the verifier compare the finished export with the expected scores.

    Returns:
        The number of images compared, and the largest difference of a score.
    """
    with tempfile.TemporaryDirectory(prefix="petalflow-") as temporary:
        path = Path(temporary) / "expected.npy"
        np.save(path, expected)
        output, errors = verifier.communicate(f"{path}\n")
    if verifier.returncode:
        raise PetalflowError(last_error(output) or f"the verification of the export failed: {errors.strip()[-500:]}")
    images, difference = output.split()[-2:]
    return int(images), float(difference)
