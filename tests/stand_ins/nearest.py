"""What the stand-ins for steps do: a classifier that predicts the class of the nearest training image."""

import io
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.evaluate.settings import EvaluateSettings
from petalflow import storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.model.exported import Exported
from petalflow.model.files import MODEL_FILE, model_sha256, read_model_info, write_model_info
from petalflow.model.serving import Serving
from petalflow.registry import Release
from petalflow.verdict import METRICS_FILE, VERDICT_FILE, Verdict, check_min, check_paired, not_applicable

_SIZE_PX = 8


def learn(dataset_root: str, out: str) -> None:
    """Writes the pixels and the classes of the training images."""
    dataset = open_dataset(dataset_root)
    pixels, labels = _images(dataset, "train")
    with storage.building(out) as folder:
        with (folder / MODEL_FILE).open("wb") as file:
            np.savez(file, pixels=pixels, labels=labels)
        write_model_info(
            folder,
            {"classes": list(dataset.classes), "image_size_px": _SIZE_PX, "fingerprint": dataset.fingerprint},
        )


def judge(
    model_folder: str, dataset_root: str, out: str, settings: EvaluateSettings, release: Release | None
) -> Verdict:
    """Checks the accuracy on the test images, and how much worse it is than the release's; writes the evaluation."""
    dataset = open_dataset(dataset_root)
    pixels, labels = _images(dataset, "test")
    correct = _nearest_classes(Path(model_folder) / MODEL_FILE, pixels) == labels
    total = int(correct.sum()), len(correct)
    checks = [] if settings.min_accuracy is None else [check_min("min_accuracy", "", *total, settings.min_accuracy)]
    drop = settings.tolerated_drop(len(correct))
    if drop is not None and release is None:
        checks.append(not_applicable("max_accuracy_drop", -drop, "nothing is released yet"))
    elif drop is not None:
        before = _nearest_classes(Path(release.uri) / MODEL_FILE, pixels) == labels
        better, worse = int((correct & ~before).sum()), int((before & ~correct).sum())
        checks.append(check_paired("max_accuracy_drop", better, worse, len(correct), -drop))
    accuracy = {"value": total[0] / total[1], "low": 0.0, "high": 1.0, "trials": total[1]}
    verdict = Verdict(
        checks=checks,
        candidate={"accuracy": accuracy["value"], "model_sha256": model_sha256(model_folder)},
        baseline={"version": release.version} if release else {"version": None, "why": "nothing is released yet"},
        fingerprint=dataset.fingerprint,
        class_names=dataset.classes,
        test_images=len(correct),
        temperature=1.0,
        abstain_threshold=0.0,
    )
    with storage.building(out) as folder:
        storage.write_json(str(folder / VERDICT_FILE), verdict.to_json())
        metrics = {"candidate": {"proportions": {"accuracy": accuracy}, "recalls": {}}}
        storage.write_json(str(folder / METRICS_FILE), metrics)
    return verdict


def export(model_folder: str, serving: Serving, out: str) -> None:
    """Writes what a release needs to be published and to be a baseline."""
    info = read_model_info(model_folder)
    with storage.building(out) as folder:
        shutil.copy(Path(model_folder) / MODEL_FILE, folder)
        (folder / "saved_model.pb").touch()  # a version of the registry exists once this file does
        Exported(
            fingerprint=info["fingerprint"],
            class_names=tuple(info["classes"]),
            serving=serving,
            model_sha256=model_sha256(model_folder),
            backbone="nearest neighbour",
            parameters=0,
            image_size_px=_SIZE_PX,
            checked_images=0,
            largest_difference=0.0,
        ).write(folder)


def _images(dataset: Dataset, split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns the grey values of a split's images, [n, pixels], and their classes, [n]."""
    records = list(dataset.records(split))
    images = [Image.open(io.BytesIO(record.image)).convert("L").resize((_SIZE_PX, _SIZE_PX)) for record in records]
    pixels = np.stack([np.asarray(image, np.float32).ravel() for image in images])
    return pixels, np.array([record.labels[0] for record in records])


def _nearest_classes(model_file: Path, pixels: NDArray[np.float32]) -> NDArray[np.int64]:
    """Returns the class of the training image nearest to each image, [n]."""
    model = np.load(model_file)
    squared = (model["pixels"] ** 2).sum(axis=1) - 2 * pixels @ model["pixels"].T
    return np.asarray(model["labels"][squared.argmin(axis=1)])
