"""The record of an export: export.json, next to the SavedModel."""

from dataclasses import asdict, dataclass
from pathlib import Path

from petalflow import storage
from petalflow.model.serving import Serving
from petalflow.model.task import Task

EXPORT_FILE = "export.json"
LABELS_FILE = "labels.txt"
LITERT_FILE = "model.tflite"


@dataclass(frozen=True)
class Exported:
    """An export that was verified to give the scores of the evaluated model.

    Attributes:
        fingerprint: Fingerprint of the dataset that the model was trained on.
        class_names: Class names, in the order of the scores.
        serving: How the served model uses the scores.
        model_sha256: SHA-256 of the model's file.
        backbone: The model's backbone.
        parameters: The number of its parameters.
        image_size_px: Height and width of its input.
        checked_images: Number of images on which the export was compared with the model.
        largest_difference: The largest difference of a score on them.
        task: The model's task, which determines how to read the outputs of its Keras file.
        warm_started_from: Address of the release that its training started from, or None.
        background: The colour shown where an image is transparent, #RRGGBB, as in the dataset.
    """

    fingerprint: str
    class_names: tuple[str, ...]
    serving: Serving
    model_sha256: str
    backbone: str
    parameters: int
    image_size_px: int
    checked_images: int
    largest_difference: float
    task: Task = Task.MULTI_CLASS  # the only task when exports did not record it
    warm_started_from: str | None = None
    background: str = "#ffffff"

    def write(self, folder: str | Path) -> None:
        """Writes export.json."""
        storage.write_json(str(Path(folder) / EXPORT_FILE), asdict(self))

    @classmethod
    def read(cls, folder: str | Path) -> "Exported":
        """Returns the export that a folder's export.json records.

        Raises:
            PetalflowError: If the folder is not a complete export.
        """
        storage.check_complete(folder, "export")
        values = storage.read_json(str(Path(folder) / EXPORT_FILE))
        names, serving = tuple(values["class_names"]), Serving(**values["serving"])
        task = Task(values.get("task", Task.MULTI_CLASS))
        return cls(**{**values, "class_names": names, "serving": serving, "task": task})
