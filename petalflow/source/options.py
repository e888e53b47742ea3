"""What a source's address does not say: how to read it."""

import json

from pydantic import Field, field_validator

from petalflow.errors import UsageError
from petalflow.settings import StepSettings
from petalflow.source.label_pattern import LabelPattern


class SourceOptions(StepSettings):
    """How a source is read. They are settings of convert, which snapshot, who lists the source too, is told of."""

    section = "convert"

    label_pattern: str | None = Field(
        None,
        min_length=1,
        description="where file names hold the class, as {label}.* does for cat.0.jpg; * stands for anything",
    )
    multi_label: bool = Field(
        False, description="images may have several classes; a source in which any has several is so anyway"
    )
    tfds_data_dir: str | None = Field(
        None,
        min_length=1,
        description="where TFDS keeps the data sets of sources like tfds:mnist; its own default if none",
    )

    @field_validator("label_pattern")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                LabelPattern(pattern)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return pattern

    @classmethod
    def among(cls, convert_config: str) -> "SourceOptions":
        """Returns the options among all settings of convert, as JSON."""
        values = json.loads(convert_config)
        return cls.of({name: values[name] for name in cls.model_fields if name in values})


# Of a source that says all by itself.
PLAIN = SourceOptions.of({})
