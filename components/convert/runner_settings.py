"""Settings of the runners that have work done by other processes and machines."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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
