"""Settings of convert."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from petalflow.imaging import Rules
from petalflow.source import SourceOptions

_BUCKET_PATTERN = r"^gs://[a-z0-9][a-z0-9._-]+/.+"


class FlinkSettings(BaseModel):
    """Apache Flink, through Beam's job server (docker/flink/job-server)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_server: str = Field(
        "localhost:8099", pattern=r"^[^:/\s]+:\d{1,5}$", description="HOST:PORT where the job server listens"
    )
    workers: str = Field(
        "loopback",
        pattern=r"^(loopback|[^:/\s]+:\d{1,5})$",
        description="loopback: this process does the work; HOST:PORT: Beam's worker pool on each machine of Flink's",
    )
    parallelism: int | None = Field(None, ge=1, description="shards written at once; Flink's own default if none")


class DataflowSettings(BaseModel):
    """Google Cloud Dataflow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str | None = Field(None, min_length=1, description="project that is billed")
    region: str | None = Field(None, min_length=1, description="region of the workers, best that of the buckets")
    temp_location: str | None = Field(None, pattern=_BUCKET_PATTERN, description="gs:// folder for temporary files")
    staging_location: str | None = Field(
        None, pattern=_BUCKET_PATTERN, description="gs:// folder for our code; below temp_location if none"
    )
    machine_type: str = Field("n2-standard-4", min_length=1, description="machine of each worker")
    disk_gb: int = Field(30, ge=10, description="disk of each worker, in GB")
    workers: int | None = Field(None, ge=1, description="workers at the start; Dataflow's choice if none")
    max_workers: int | None = Field(None, ge=1, description="workers at most; Dataflow's own limit if none")
    autoscaling: Literal["THROUGHPUT_BASED", "NONE"] = Field(
        "THROUGHPUT_BASED", description="whether the number of workers changes with the work"
    )
    worker_image: str | None = Field(
        None, min_length=1, description="image of the workers, with Petalflow in it; else each installs it at its start"
    )
    service_account: str | None = Field(None, pattern=r"^[^@\s]+@[^@\s]+$", description="whom the workers act as")
    network: str | None = Field(None, min_length=1, description="their network; the project's default if none")
    subnetwork: str | None = Field(None, min_length=1, description="their subnetwork, regions/REGION/subnetworks/NAME")
    public_ips: bool = Field(True, description="whether the workers have public addresses")
    labels: dict[str, str] = Field({}, description="labels of the job, for the bill")

    def missing(self) -> list[str]:
        """Returns the names of what has no default that could be right for anybody, and was not given."""
        return [name for name in ("project", "region", "temp_location") if getattr(self, name) is None]


class ConvertSettings(SourceOptions):
    """How a source becomes a dataset."""

    max_images_per_class: int | None = Field(
        None, ge=1, description="convert no more images of a class than this, chosen by hash; for quick experiments"
    )
    seed: int = Field(0, description="of the choice of max_images_per_class")
    conflicts: Literal["reject", "keep"] = Field(
        "reject", description="what becomes of one image that stands under two labels: reject both, or keep both"
    )
    shard_mib: int = Field(128, ge=1, le=4096, description="size of a shard that is aimed at, in MiB of source files")
    shards: int | None = Field(
        None, ge=1, le=99_999, description="shards of each split, instead of by size; no more than it has images"
    )
    max_image_mib: int = Field(64, ge=1, description="largest image file, in MiB; larger ones are rejected")
    max_megapixels: int = Field(100, ge=1, description="largest image, in millions of pixels")
    min_side_px: int = Field(1, ge=1, description="shortest side of an image, in pixels")
    max_side_px: int = Field(65_535, ge=1, description="longest side of an image, in pixels")
    frames: Literal["first", "reject"] = Field(
        "first", description="of an animation or a file of several frames take the first, or reject the file"
    )
    background: str = Field(
        "#ffffff", pattern=r"^#[0-9a-fA-F]{6}$", description="colour that shows where an image is transparent"
    )
    jpeg_quality: int = Field(95, ge=1, le=100, description="of images that are written anew as JPEG")
    resize_px: int | None = Field(
        None, ge=1, description="what the shorter side of larger images is made, in pixels; smaller stay as they are"
    )
    threads: int = Field(8, ge=1, le=256, description="images read and checked at once in a worker")
    runner: Literal["FnApiRunner", "FlinkRunner", "SparkRunner", "PortableRunner", "DataflowRunner"] = Field(
        "FnApiRunner", description="the Beam runner; FnApiRunner works in this process"
    )
    runner_options: tuple[str, ...] = Field((), description="options for the Beam runner, as on its command line")
    flink: FlinkSettings = Field(
        FlinkSettings.model_validate({}), description="where FlinkRunner finds Flink, see docs/runners.md"
    )
    dataflow: DataflowSettings = Field(
        DataflowSettings.model_validate({}), description="what DataflowRunner asks of Google, see docs/runners.md"
    )

    @model_validator(mode="after")
    def _say_what_dataflow_lacks(self) -> Self:
        missing = self.dataflow.missing() if self.runner == "DataflowRunner" else []
        if missing:
            raise ValueError(f"DataflowRunner needs {', '.join(f'convert.dataflow.{name}' for name in missing)}")
        return self

    def rules(self) -> Rules:
        """Returns what an image may be, and how it is written anew."""
        red, green, blue = bytes.fromhex(self.background[1:])
        return Rules(
            max_bytes=self.max_image_mib << 20,
            max_pixels=self.max_megapixels * 1_000_000,
            min_side_px=self.min_side_px,
            max_side_px=self.max_side_px,
            frames=self.frames,
            background=(red, green, blue),
            jpeg_quality=self.jpeg_quality,
            resize_px=self.resize_px,
        )
