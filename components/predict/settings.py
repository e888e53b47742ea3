"""Settings of predict."""

from pydantic import Field

from petalflow.settings import StepSettings


class PredictSettings(StepSettings):
    """How images are classified."""

    section = "predict"

    batch_size: int = Field(32, ge=1, description="number of images sent to the model at once")
