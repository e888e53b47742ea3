"""Settings of convert."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from petalflow.imaging import Rules, parse_colour
from petalflow.settings import Settings
from petalflow.source import SourceOptions

_BUCKET_PATTERN = r"^gs://[a-z0-9][a-z0-9._-]+/.+"


class FlinkSettings(Settings):
    """Settings of FlinkRunner, which uses Beam's job server (docker/flink/job-server)."""

    job_server: str = Field("localhost:8099", pattern=r"^[^:/\s]+:\d{1,5}$", description="HOST:PORT of the job server")
    workers: str = Field(
        "loopback",
        pattern=r"^(loopback|[^:/\s]+:\d{1,5})$",
        description="loopback: this process does the work; HOST:PORT: Beam's worker pool on each Flink machine",
    )
    parallelism: int | None = Field(None, ge=1, description="number of shards written at once; null: Flink's default")


class DataflowSettings(Settings):
    """Settings of DataflowRunner, which runs on Google Cloud Dataflow."""

    former_names: ClassVar[Mapping[str, str]] = {"worker_image": "worker_container_image"}

    project: str | None = Field(None, min_length=1, description="Google Cloud project to bill")
    region: str | None = Field(None, min_length=1, description="region of the workers, preferably that of the buckets")
    temp_location: str | None = Field(None, pattern=_BUCKET_PATTERN, description="gs:// folder for temporary files")
    staging_location: str | None = Field(
        None,
        pattern=_BUCKET_PATTERN,
        description="gs:// folder for Petalflow's package; null: a folder in temp_location",
    )
    machine_type: str = Field("n2-standard-4", min_length=1, description="machine type of the workers")
    disk_gb: int = Field(30, ge=10, description="disk size of each worker, in GB")
    workers: int | None = Field(None, ge=1, description="initial number of workers; null: Dataflow decides")
    max_workers: int | None = Field(None, ge=1, description="maximum number of workers; null: Dataflow's limit")
    autoscaling: Literal["THROUGHPUT_BASED", "NONE"] = Field(
        "THROUGHPUT_BASED", description="THROUGHPUT_BASED, or NONE for a fixed number of workers"
    )
    worker_container_image: str | None = Field(
        None,
        min_length=1,
        description="container image of the workers, with Petalflow installed; null: each worker installs it",
    )
    service_account: str | None = Field(
        None, pattern=r"^[^@\s]+@[^@\s]+$", description="e-mail address of the workers' service account"
    )
    network: str | None = Field(None, min_length=1, description="network of the workers; null: the project's default")
    subnetwork: str | None = Field(
        None, min_length=1, description="subnetwork of the workers: regions/REGION/subnetworks/NAME"
    )
    public_ips: bool = Field(True, description="give the workers public IP addresses")
    labels: dict[str, str] = Field({}, description="labels of the Dataflow job, shown in the bill")

    def missing(self) -> list[str]:
        """Returns the names of the required settings that are not set."""
        return [name for name in ("project", "region", "temp_location") if getattr(self, name) is None]


class ConvertSettings(SourceOptions):
    """How to convert a source to a dataset."""

    common: ClassVar[Mapping[str, Any]] = {
        "label_pattern": "{label}.*",
        "layout": "splits",
        "multi_label": True,
        "max_images_per_class": 200,
        "resize_px": 512,
    }

    max_images_per_class: int | None = Field(
        None, ge=1, description="maximum number of images per class, chosen by hash; for quick experiments"
    )
    seed: int = Field(0, description="seed for choosing the images of max_images_per_class")
    conflicts: Literal["reject", "keep"] = Field(
        "reject",
        description="identical images under different labels; reject: reject all of them; keep: keep one per label",
    )
    shard_mib: int = Field(128, ge=1, le=4096, description="target size of a shard, in MiB of source files")
    shards: int | None = Field(
        None, ge=1, le=99_999, description="number of shards per split, instead of shard_mib; at most one per image"
    )
    max_image_mib: int = Field(64, ge=1, description="maximum size of an image file, in MiB")
    max_megapixels: int = Field(100, ge=1, description="maximum size of an image, in millions of pixels")
    min_side_px: int = Field(1, ge=1, description="minimum width and height of an image, in pixels")
    max_side_px: int = Field(65_535, ge=1, description="maximum width and height of an image, in pixels")
    frames: Literal["first", "reject"] = Field(
        "first", description="animations and multi-page files; first: use the first frame; reject: reject the file"
    )
    background: str = Field(
        "#ffffff", pattern=r"^#[0-9a-fA-F]{6}$", description="background colour for transparent images"
    )
    jpeg_quality: int = Field(95, ge=1, le=100, description="JPEG quality of re-encoded images, 1 to 100")
    resize_px: int | None = Field(
        None, ge=1, description="downscale images to this shorter side, in pixels; smaller images stay unchanged"
    )
    threads: int = Field(8, ge=1, le=256, description="number of threads per worker that read and check images")
    runner: Literal["FnApiRunner", "FlinkRunner", "SparkRunner", "PortableRunner", "DataflowRunner"] = Field(
        "FnApiRunner",
        description="Beam runner: FnApiRunner (in this process), FlinkRunner, SparkRunner, PortableRunner or "
        "DataflowRunner",
    )
    runner_options: tuple[str, ...] = Field((), description="further command-line options for the Beam runner")
    flink: FlinkSettings = Field(
        FlinkSettings.model_validate({}), description="settings of FlinkRunner, see docs/runners.md"
    )
    dataflow: DataflowSettings = Field(
        DataflowSettings.model_validate({}), description="settings of DataflowRunner, see docs/runners.md"
    )

    @model_validator(mode="after")
    def _check_dataflow(self) -> Self:
        missing = self.dataflow.missing() if self.runner == "DataflowRunner" else []
        if missing:
            raise ValueError(f"DataflowRunner needs {', '.join(f'convert.dataflow.{name}' for name in missing)}")
        return self

    def rules(self) -> Rules:
        """Returns the limits for images, and how to re-encode them."""
        return Rules(
            max_bytes=self.max_image_mib << 20,
            max_pixels=self.max_megapixels * 1_000_000,
            min_side_px=self.min_side_px,
            max_side_px=self.max_side_px,
            frames=self.frames,
            background=parse_colour(self.background),
            jpeg_quality=self.jpeg_quality,
            resize_px=self.resize_px,
        )
