"""Export an accepted candidate, and prove that the export answers as the model did."""

import contextlib
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.export.files import LABELS_FILE, LITERT_FILE, MODEL_CARD_FILE
from components.export.model_card import model_card
from components.export.settings import ExportSettings
from petalflow import storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.errors import PetalflowError
from petalflow.model.files import MODEL_FILE, TrainedModel, load_model
from petalflow.step import last_error
from petalflow.verdict import METRICS_FILE, VERDICT_FILE

log = logging.getLogger(__name__)


def export(
    model_folder: str | Path,
    dataset_root: str | Path,
    evaluation: str | Path,
    out: str | Path,
    settings: ExportSettings,
) -> dict[str, Any]:
    """Writes a SavedModel with its labels, LiteRT model, card and verdict to the folder `out`.

    Args:
        model_folder: What train made.
        dataset_root: The dataset it was evaluated on.
        evaluation: What evaluate made: the verdict, and the predictions that the export must repeat.
        out: Folder to make.
        settings: What to write, and how closely to compare.

    Returns:
        "checked_images" and "largest_difference" of the comparison.

    Raises:
        PetalflowError: If the candidate was refused, or the export answers otherwise than the model.
    """
    storage.check_complete(evaluation, "evaluation")
    verdict = storage.read_json(str(Path(evaluation) / VERDICT_FILE))
    if not verdict["accepted"]:
        raise PetalflowError(f"the verdict in {evaluation} is a refusal; only accepted models are exported")
    metrics = storage.read_json(str(Path(evaluation) / METRICS_FILE))["candidate"]
    dataset, model = open_dataset(dataset_root), load_model(model_folder)
    with storage.building(out) as folder, _prover(folder, Path(evaluation), dataset, settings) as prover:
        _write_models(folder, model, Path(model_folder), verdict, settings)
        checked = _prove(prover)
        log.info("equal to the evaluated model on %(checked_images)d images, within %(largest_difference).1e", checked)
        (folder / LABELS_FILE).write_text("".join(f"{name}\n" for name in model.classes))
        shutil.copy(Path(evaluation) / VERDICT_FILE, folder)
        (folder / MODEL_CARD_FILE).write_text(model_card(verdict, metrics, model.info, dataset, checked))
    return checked


def _write_models(
    folder: Path, model: TrainedModel, model_folder: Path, verdict: dict[str, Any], settings: ExportSettings
) -> None:
    from components.export.litert import write_litert
    from components.export.serving import write_saved_model

    write_saved_model(model.keras_model, folder, model.classes, verdict["temperature"], verdict["abstain_threshold"])
    shutil.copy(model_folder / MODEL_FILE, folder)
    if settings.litert:
        write_litert(folder, folder / LITERT_FILE)


@contextlib.contextmanager
def _prover(
    folder: Path, evaluation: Path, dataset: Dataset, settings: ExportSettings
) -> Iterator["subprocess.Popen[str]"]:
    """Starts a process that knows nothing of the model; it imports while the export is written."""
    command = [sys.executable, "-m", "components.export.prove", str(folder), str(evaluation), str(dataset.root)]
    limits = [str(settings.checked_images), str(settings.tolerance)]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *limits], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _prove(prover: "subprocess.Popen[str]") -> dict[str, Any]:
    """Has the export compared with the evaluation's predictions, now that it is written."""
    output, errors = prover.communicate("go\n")
    if prover.returncode:
        raise PetalflowError(last_error(output) or f"the proof of the export failed: {errors.strip()[-500:]}")
    images, difference = output.split()[-2:]
    return {"checked_images": int(images), "largest_difference": float(difference)}
