"""Settings of validate."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from petalflow.settings import StepSettings

# YAML makes numbers of classes that are called 0 to 9.
ClassName = Annotated[str, Field(coerce_numbers_to_str=True)]


class ValidateSettings(StepSettings):
    """Limits that a dataset must keep before anything is trained on it; null is no limit."""

    section = "validate"

    classes: tuple[ClassName, ...] | None = Field(
        None, min_length=1, description="the classes that it must have, each with images, and no others"
    )
    allow_new_classes: bool = Field(False, description="let it have others beside those of validate.classes")
    allow_missing_classes: bool = Field(False, description="let it lack classes that the live release knows")
    min_classes: int | None = Field(2, ge=2, description="fewest classes with images")
    min_images: int | None = Field(None, ge=1, description="fewest images in all")
    max_images: int | None = Field(None, ge=1, description="most images in all")
    min_train_images: int | None = Field(10, ge=1, description="fewest images of each class in train")
    min_validation_images: int | None = Field(1, ge=1, description="fewest images of each class in validation")
    min_test_images: int | None = Field(1, ge=1, description="fewest images of each class in test")
    max_imbalance: float | None = Field(
        None, ge=1, description="images of the largest class for each image of the smallest"
    )
    min_short_side_px: int | None = Field(None, ge=1, description="shorter side that images should have, in pixels")
    max_small_share: float = Field(
        0.05, ge=0, le=1, description="largest share of images smaller than min_short_side_px, 0 to 1"
    )
    max_reject_share: float | None = Field(
        0.05, ge=0, le=1, description="largest share of the source's images rejected, 0 to 1"
    )
    max_conflict_share: float | None = Field(
        0.05, ge=0, le=1, description="largest share of the source's images that stand under two labels, 0 to 1"
    )
    max_shared_images: int | None = Field(0, ge=0, description="most identical images that stand in two splits")
    max_near_duplicates: int | None = Field(
        None, ge=0, description="most images that look like one of another split; null: nobody looks"
    )
    near_duplicate_distance: int = Field(
        4, ge=0, le=16, description="bits of 64 in which the perceptual hashes of two such images may differ"
    )
    max_label_drift: float | None = Field(
        0.3, ge=0, le=1, description="change of the classes' shares since the live release's dataset, 0 to 1"
    )
    max_brightness_drift: float | None = Field(
        0.3, ge=0, le=1, description="change of the images' brightness since then, 0 to 1"
    )
    max_size_drift: float | None = Field(
        0.3, ge=0, le=1, description="change of the images' shorter side and of their aspect since then, 0 to 1"
    )
    max_colour_drift: float | None = Field(
        0.3, ge=0, le=1, description="change of the images' red, green and blue since then, 0 to 1"
    )
    drift_significance: float = Field(
        0.001, gt=0, lt=1, description="a change that chance makes more often than this, 0 to 1, is none"
    )
    threads: int = Field(8, ge=1, le=256, description="images decoded at once in the search for near-duplicates")

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.min_images and self.max_images and self.min_images > self.max_images:
            raise ValueError(f"min_images={self.min_images} is more than max_images={self.max_images}")
        return self
