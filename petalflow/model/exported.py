"""What an export says of itself: export.json, beside the SavedModel."""

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
    """An export that was proven to answer as a model did.

    Attributes:
        fingerprint: Of the dataset that the model was trained on.
        class_names: In the order of the scores.
        serving: What was done with the model's scores.
        model_sha256: Of the model's file.
        backbone: What kind of model it is.
        parameters: How many it has.
        image_size_px: Height and width of its input.
        checked_images: On how many images the export was compared with the model.
        largest_difference: Of a score, among them.
        task: What the model was asked; says how to read what its Keras file gives.
        warm_started_from: Address of the release that its training began with; None if with none.
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
    task: Task = Task.MULTI_CLASS  # as exports that say none are
    warm_started_from: str | None = None

    def write(self, folder: str | Path) -> None:
        """Writes export.json."""
        storage.write_json(str(Path(folder) / EXPORT_FILE), asdict(self))

    @classmethod
    def read(cls, folder: str | Path) -> "Exported":
        """Returns what a folder's export.json says.

        Raises:
            PetalflowError: If the folder is not a complete export.
        """
        storage.check_complete(folder, "export")
        values = storage.read_json(str(Path(folder) / EXPORT_FILE))
        names, serving = tuple(values["class_names"]), Serving(**values["serving"])
        task = Task(values.get("task", Task.MULTI_CLASS))
        return cls(**{**values, "class_names": names, "serving": serving, "task": task})
