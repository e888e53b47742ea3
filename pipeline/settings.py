"""Settings of the targets: sections of the configuration, next to those of the steps."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import pydantic
from pydantic import Field, field_validator, model_validator

from petalflow import __version__
from petalflow.container_images import DEFAULT_REPOSITORY, check_repository, check_tag
from petalflow.errors import did_you_mean
from petalflow.run.steps import STEPS
from petalflow.settings import StepSettings, TimeZone


class Machine(pydantic.BaseModel):
    """What one step requests of the machine it runs on; None takes the target's default."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    cpu: float | None = Field(default=None, ge=0.001, allow_inf_nan=False, description="CPU cores")
    memory_gb: float | None = Field(
        default=None, ge=0.001, allow_inf_nan=False, description="memory, in GB (10^9 bytes)"
    )
    accelerator: str | None = Field(
        default=None,
        description="kind of accelerator: nvidia.com/gpu or google.com/tpu on Kubernetes, NVIDIA_L4 ... on Vertex AI",
    )
    accelerators: int = Field(default=1, ge=1, description="number of accelerators")
    retries: int = Field(
        default=0, ge=0, description="number of retries of a failed step; training resumes from its last checkpoint"
    )


class ContainerSettings(StepSettings):
    """Settings of every target that runs containers."""

    former_names: ClassVar[Mapping[str, str]] = {"images": "container_repository"}

    container_repository: str = Field(
        DEFAULT_REPOSITORY,
        description="registry and path of the container images: REGISTRY/PREFIX, to which /base, /cpu ... is appended",
    )
    tag: str = Field(__version__, description="tag of the container images; latest is not accepted")

    @field_validator("container_repository")
    @classmethod
    def _check_repository(cls, repository: str) -> str:
        return check_repository(repository)

    @field_validator("tag")
    @classmethod
    def _check_tag(cls, tag: str) -> str:
        return check_tag(tag)


class ClusterSettings(ContainerSettings):
    """Settings of every target that has many machines."""

    machines: Mapping[str, Machine] = Field(
        {},
        json_schema_extra={"propertyNames": {"enum": [*STEPS]}},
        description="machines by step, like {train: {cpu: 8, memory_gb: 32, accelerator: KIND, accelerators: 1, "
        "retries: 2}}; KIND is nvidia.com/gpu or google.com/tpu on Kubernetes, NVIDIA_L4, TPU_V6E ... on Vertex AI",
    )

    @field_validator("machines")
    @classmethod
    def _check_steps(cls, machines: Mapping[str, Machine]) -> Mapping[str, Machine]:
        for step in machines:
            if step not in STEPS:
                raise ValueError(f"unknown step {step}: {did_you_mean(step, STEPS)}")
        return machines


class DockerSettings(ContainerSettings):
    """Containers on this machine."""

    section: ClassVar[str] = "docker"
    page: ClassVar[str] = "docs/docker.md"
    common: ClassVar[Mapping[str, Any]] = {"container_repository": "registry.example.com/petalflow"}

    network: str = Field("auto", description="Docker network of the steps; auto: no network if every address is local")


# Names of Kubernetes' objects and of environment variables, as its API server accepts them.
_OBJECT_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
_VARIABLE = r"^[-._a-zA-Z][-._a-zA-Z0-9]*$"
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"([a-z0-9][-a-z0-9.]*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


class Toleration(pydantic.BaseModel):
    """A taint that pods tolerate, with the fields that Kubernetes gives it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = None

    @model_validator(mode="after")
    def _check_operator(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("the operator Exists takes no value; remove it")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("without a key, the operator must be Exists")
        return self


def check_host(host: str) -> None:
    """Raises ValueError unless `host` is a URL of a server, without a password, which would be displayed and stored."""
    try:
        url = urlsplit(host)
        valid = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("it must be a URL like http://localhost:8080")
    if url.username or url.password:
        raise ValueError("it must not contain a password; write a token to a file and set kubeflow.token_file")


class KubeflowSettings(ClusterSettings):
    """A Kubeflow Pipelines endpoint."""

    section: ClassVar[str] = "kubeflow"
    page: ClassVar[str] = "docs/kubeflow.md"
    common: ClassVar[Mapping[str, Any]] = {
        "container_repository": "registry.example.com/petalflow",
        "machines": {"train": {"cpu": 8, "memory_gb": 32}},
        "host": "http://localhost:8080",
        "namespace": "botany",
    }

    host: str | None = Field(
        None,
        description="URL of the UI or the API; null: $KF_PIPELINES_ENDPOINT, or the service inside the cluster",
    )
    namespace: str | None = Field(
        None, pattern=_OBJECT_NAME, description="namespace of the runs, if Kubeflow serves several users"
    )
    experiment: str = Field(
        "petalflow", min_length=1, max_length=128, description="experiment that the runs are listed under"
    )
    token_file: str | None = Field(None, description="file with a bearer token; read when needed, never stored")
    ca_file: str | None = Field(None, description="file of the CA certificates to trust for https")
    service_account: str | None = Field(
        None, pattern=_OBJECT_NAME, description="Kubernetes service account of the steps"
    )
    cron_timezone: TimeZone = Field(
        "UTC",
        description="time zone of schedules in the cluster: cronScheduleTimezone in its pipeline-install-config",
    )
    run_as_user: int | None = Field(
        None, ge=1, description="user id of the steps; null: that of the container images, 65532"
    )
    volume_claim: str | None = Field(
        None,
        pattern=_OBJECT_NAME,
        description="PersistentVolumeClaim with source, registry and state; mounted at volume_path",
    )
    volume_path: str | None = Field(
        None,
        pattern="^/.",
        description="path at which the claim is mounted in every step: the same as the folder's path on this machine",
    )
    secret: str | None = Field(
        None,
        pattern=_OBJECT_NAME,
        description="Kubernetes secret whose keys become environment variables of every step (S3 credentials)",
    )
    secret_keys: tuple[Annotated[str, Field(pattern=_VARIABLE)], ...] = Field(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"), description="keys to take from the secret"
    )
    tolerations: tuple[Toleration, ...] = Field(
        (),
        description="taints tolerated by train and by every step with an accelerator: "
        "[{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]",
    )
    node_selector: Mapping[str, str] = Field(
        {}, description="labels of the nodes that these steps (as for tolerations) run on"
    )
    poll_s: float = Field(5, gt=0, description="seconds between requests for the status of a run")

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str | None) -> str | None:
        if host is not None:
            check_host(host)
        return host

    @field_validator("machines")
    @classmethod
    def _check_accelerators(cls, machines: Mapping[str, Machine]) -> Mapping[str, Machine]:
        for step, machine in machines.items():
            if machine.accelerator and "/" not in machine.accelerator:
                raise ValueError(
                    f"{step}: Kubernetes has no accelerator {machine.accelerator}; use nvidia.com/gpu or google.com/tpu"
                )
        return machines

    @field_validator("node_selector")
    @classmethod
    def _check_labels(cls, labels: Mapping[str, str]) -> Mapping[str, str]:
        for key, value in labels.items():
            if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
                raise ValueError(f"{key}: {value} is not a valid label of Kubernetes")
        return labels

    @model_validator(mode="after")
    def _check_volume(self) -> Self:
        if (self.volume_claim is None) != (self.volume_path is None):
            raise ValueError("volume_claim and volume_path belong together; set both or neither")
        return self


# Vertex AI replaces what a user gives it (PipelineJob.labels).
_BILLING_LABEL = "vertex-ai-pipelines-run-billing-id"


class VertexSettings(ClusterSettings):
    """Vertex AI Pipelines."""

    section: ClassVar[str] = "vertex"
    page: ClassVar[str] = "docs/vertex.md"
    common: ClassVar[Mapping[str, Any]] = {
        "container_repository": "europe-west4-docker.pkg.dev/my-project/petalflow",
        "machines": {"train": {"cpu": 8, "accelerator": "NVIDIA_L4"}},
        "project": "my-project",
        "location": "europe-west4",
    }

    project: str | None = Field(None, description="Google Cloud project id; null: the project of the credentials")
    location: str = Field("us-central1", pattern=r"^[a-z]+-[a-z]+[0-9]+$", description="region, like europe-west4")
    pipeline_root: str | None = Field(
        None, pattern="^gs://.", description="gs:// folder for the artifacts of the steps; null: REGISTRY/.pipeline"
    )
    service_account: str | None = Field(None, description="e-mail of the service account that the steps run as")
    network: str | None = Field(
        None,
        pattern="^projects/[0-9]+/global/networks/[^/]+$",
        description="VPC to peer with: projects/NUMBER/global/networks/NAME",
    )
    labels: Mapping[str, str] = Field({}, description="labels of the job, for searching and billing")
    kms_key: str | None = Field(
        None, description="Cloud KMS key to encrypt with: projects/P/locations/L/keyRings/R/cryptoKeys/K"
    )
    caching: bool = Field(True, description="use cached results of the steps that allow it")
    poll_s: float = Field(10, gt=0, description="seconds between requests for the status of a run")
    endpoint: str | None = Field(None, description="host of the service; null: LOCATION-aiplatform.googleapis.com")
    logging_endpoint: str | None = Field(None, description="host of Cloud Logging; null: logging.googleapis.com")

    @field_validator("machines")
    @classmethod
    def _check_accelerators(cls, machines: Mapping[str, Machine]) -> Mapping[str, Machine]:
        for step, machine in machines.items():
            if machine.accelerator and not machine.accelerator.startswith(("NVIDIA_", "TPU_")):
                raise ValueError(
                    f"{step}: Vertex AI has no accelerator {machine.accelerator}; use one like NVIDIA_L4 or TPU_V6E"
                )
        return machines

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, labels: Mapping[str, str]) -> Mapping[str, str]:
        for key, value in labels.items():
            if not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
                raise ValueError(f"{value!r} is not a valid label; use up to 63 characters of a-z, 0-9, '_' and '-'")
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key):
                raise ValueError(f"{key!r} is not a valid label; begin with a letter, then as for values, up to 63")
            if key == _BILLING_LABEL:
                raise ValueError(f"the label {key} is set by Vertex AI; remove it")
        return labels


TARGET_SETTINGS: dict[str, type[ContainerSettings]] = {
    cls.section: cls for cls in (DockerSettings, KubeflowSettings, VertexSettings)
}
