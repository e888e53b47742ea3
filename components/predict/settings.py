"""Settings of predict."""

from typing import Literal

from pydantic import Field

from petalflow.settings import StepSettings


class PredictSettings(StepSettings):
    """How images are classified."""

    section = "predict"

    batch_size: int = Field(32, ge=1, description="number of images sent to the model at once")
    runtime: Literal["auto", "litert", "saved_model"] = Field(
        "auto",
        description="what runs the model; litert: model.tflite, which starts in a second; saved_model: the SavedModel, "
        "which starts in 10 to 20 s; auto: litert for up to 1,000 images if the release has the file",
    )
