"""Settings of convert."""

from typing import Literal

from pydantic import Field

from petalflow.settings import StepSettings


class ConvertSettings(StepSettings):
    """How a source becomes a dataset."""

    section = "convert"

    shard_mib: int = Field(128, ge=1, le=4096, description="size of a shard that is aimed at, in MiB of source files")
    max_image_mib: int = Field(64, ge=1, description="largest image file, in MiB; larger ones are rejected")
    max_megapixels: int = Field(100, ge=1, description="largest image, in millions of pixels")
    min_side_px: int = Field(1, ge=1, description="shortest side of an image, in pixels")
    threads: int = Field(8, ge=1, le=256, description="images read and checked at once in a worker")
    runner: Literal["FnApiRunner", "FlinkRunner", "SparkRunner", "PortableRunner", "DataflowRunner"] = Field(
        "FnApiRunner", description="the Beam runner; FnApiRunner works in this process"
    )
    runner_options: tuple[str, ...] = Field((), description="options for the Beam runner, as on its command line")
