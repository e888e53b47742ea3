"""Settings of export."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from petalflow.settings import StepSettings


class ExportSettings(StepSettings):
    """What an export contains, and how it is verified."""

    section = "export"
    page = "docs/releases.md"
    common: ClassVar[Mapping[str, Any]] = {"litert": False}

    litert: bool = Field(True, description="also write model.tflite, for phones and small devices")
    checked_images: int = Field(
        256, ge=1, description="number of test images on which the export is compared with the model"
    )
    tolerance: float = Field(1e-3, gt=0, le=0.1, description="maximum difference between scores that count as equal")
