"""Settings of validate."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, WithJsonSchema, model_validator

from petalflow.settings import StepSettings

# YAML reads class names such as 0 to 9 as numbers.
ClassName = Annotated[
    str, Field(coerce_numbers_to_str=True), WithJsonSchema({"type": ["string", "number"]}, mode="validation")
]


class ValidateSettings(StepSettings):
    """Limits that a dataset must meet before anything is trained on it; null means no limit."""

    section = "validate"
    page = "docs/validate.md"
    common: ClassVar[Mapping[str, Any]] = {
        "classes": ["daisy", "rose", "tulip"],
        "min_train_images": 50,
        "max_class_reject_share": 0.1,
        "max_label_drift": 0.5,
    }

    classes: tuple[ClassName, ...] | None = Field(
        None,
        min_length=1,
        description="the expected classes; the dataset must have images of each, and no other classes",
    )
    allow_new_classes: bool = Field(False, description="accept classes that are not in validate.classes")
    allow_missing_classes: bool = Field(False, description="accept a dataset without some classes of the live release")
    min_classes: int | None = Field(2, ge=2, description="minimum number of classes with images")
    min_images: int | None = Field(None, ge=1, description="minimum number of images")
    max_images: int | None = Field(None, ge=1, description="maximum number of images")
    min_train_images: int | None = Field(10, ge=1, description="minimum number of training images of each class")
    min_validation_images: int | None = Field(1, ge=1, description="minimum number of validation images of each class")
    min_test_images: int | None = Field(1, ge=1, description="minimum number of test images of each class")
    max_imbalance: float | None = Field(None, ge=1, description="maximum ratio of the largest class to the smallest")
    min_short_side_px: int | None = Field(
        None, ge=1, description="shorter side below which an image counts as small, in pixels"
    )
    max_small_share: float = Field(
        0.05, ge=0, le=1, description="maximum share of images smaller than min_short_side_px, 0 to 1"
    )
    max_reject_share: float | None = Field(
        0.05, ge=0, le=1, description="maximum share of the source's images that were rejected, 0 to 1"
    )
    max_class_reject_share: float | None = Field(
        0.25, ge=0, le=1, description="maximum share of any class's images that were rejected, 0 to 1"
    )
    max_conflict_share: float | None = Field(
        0.05, ge=0, le=1, description="maximum share of the source's images with conflicting labels, 0 to 1"
    )
    max_shared_images: int | None = Field(
        0, ge=0, description="maximum number of images that are also in another split"
    )
    max_near_duplicates: int | None = Field(
        None, ge=0, description="maximum number of images that resemble one in another split"
    )
    max_near_duplicate_share: float | None = Field(
        0.25,
        ge=0,
        le=1,
        description="maximum share of the validation and test images that resemble one in another split, 0 to 1",
    )
    near_duplicates_up_to: int = Field(
        20_000,
        ge=0,
        description="number of images up to which max_near_duplicate_share is checked; max_near_duplicates always is",
    )
    near_duplicate_distance: int = Field(
        4,
        ge=0,
        le=16,
        description="images resemble each other if at most this many of the 64 bits of their perceptual hashes differ",
    )
    max_label_drift: float | None = Field(
        0.3, ge=0, le=1, description="maximum change of the class distribution since the live release, 0 to 1"
    )
    max_brightness_drift: float | None = Field(
        0.3, ge=0, le=1, description="maximum change of the images' brightness since the live release, 0 to 1"
    )
    max_size_drift: float | None = Field(
        0.3, ge=0, le=1, description="maximum change of shorter sides and aspect ratios since the live release, 0 to 1"
    )
    max_colour_drift: float | None = Field(
        0.3, ge=0, le=1, description="maximum change of the images' red, green and blue since the live release, 0 to 1"
    )
    drift_significance: float = Field(
        0.001, gt=0, lt=1, description="significance level: a change with a larger p-value does not count, 0 to 1"
    )
    threads: int = Field(8, ge=1, le=256, description="number of threads that decode images to find near-duplicates")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.min_images and self.max_images and self.min_images > self.max_images:
            raise ValueError(
                f"min_images={self.min_images} is greater than max_images={self.max_images}; correct one of them"
            )
        return self
