"""Settings of validate."""

from pydantic import Field

from petalflow.settings import StepSettings


class ValidateSettings(StepSettings):
    """Limits that a dataset must keep before anything is trained on it."""

    section = "validate"

    min_classes: int = Field(2, ge=2, description="fewest classes")
    min_train_images: int = Field(10, ge=1, description="fewest images of each class in train")
    min_validation_images: int = Field(1, ge=1, description="fewest images of each class in validation")
    min_test_images: int = Field(1, ge=1, description="fewest images of each class in test")
    max_reject_share: float = Field(
        0.05, ge=0, le=1, description="largest share of the source's images rejected, 0 to 1"
    )
    max_shared_images: int = Field(0, ge=0, description="most identical images that stand in two splits")
