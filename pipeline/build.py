"""How the pipeline is compiled for a target: container images, machines, and what only this target understands."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from petalflow import __version__
from petalflow.container_images import DEFAULT_REPOSITORY, container_image
from pipeline.code_version import source_hash
from pipeline.settings import ClusterSettings, ContainerSettings, Machine

if TYPE_CHECKING:
    from kfp import dsl
    from kfp.dsl.base_component import BaseComponent

TRAIN = "train"
_WITH_TENSORFLOW = (TRAIN, "evaluate", "export")
_LISTING = ("snapshot", "convert")  # the first of them to list a TFDS data set prepares it


@dataclass(frozen=True)
class Build:
    """How the pipeline is compiled for a target.

    Attributes:
        container_repository: Where the container images are: REGISTRY/PREFIX.
        tag: Tag of the container images.
        machines: What each step requests of its machine.
        tfds: True if the source is a TFDS data set, which only a container image with TensorFlow can prepare.
        customize: Applies to each step's task what only one target understands; this adds a second YAML document.
        components: Functions that make replacements for steps, by the step's name: on Vertex AI for train, since an
            ordinary step cannot request every machine. A replacement includes its own container image and machine, and
            need not run on every target.
        note: What a reader of the compiled file must know.
    """

    container_repository: str = DEFAULT_REPOSITORY
    tag: str = __version__
    machines: Mapping[str, Machine] = field(default_factory=dict)
    tfds: bool = False
    customize: Callable[["dsl.PipelineTask"], None] | None = None
    components: Mapping[str, Callable[[], "BaseComponent"]] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of(cls, settings: ContainerSettings, source: str = "") -> "Build":
        """Returns the build for a target, and for a source if it is known."""
        machines = settings.machines if isinstance(settings, ClusterSettings) else {}
        return cls(settings.container_repository, settings.tag, machines, source.startswith("tfds:"))

    def container_image(self, step: str) -> str:
        """Returns the name of the container image that a step runs in."""
        accelerator = self.machines.get(step, Machine()).accelerator
        if accelerator:
            variant = "tpu" if "tpu" in accelerator.lower() else "gpu"
        else:
            variant = "cpu" if step in _WITH_TENSORFLOW or (step in _LISTING and self.tfds) else "base"
        return container_image(variant, self.container_repository, self.tag)

    def code_version(self) -> str:
        """Returns a hash of the container images' code: of the sources they should contain, and of their names."""
        return hashlib.sha256(f"{source_hash()} {self.container_repository} {self.tag}".encode()).hexdigest()[:16]

    def apply(self, task: "dsl.PipelineTask") -> None:
        """Sets the container image and the machine of a step's task."""
        machine = self.machines.get(task.name, Machine())
        if machine.retries:
            task.set_retry(machine.retries)
        if task.name in self.components:
            return
        # As set_container_image does, which first walks the call stack: a tenth of a second for each step.
        task.container_spec.image = self.container_image(task.name)
        if machine.cpu:
            task.set_cpu_limit(f"{machine.cpu:.3f}".rstrip("0").rstrip("."))
        if machine.memory_gb:
            task.set_memory_limit(_memory_quantity(machine.memory_gb))
        if machine.accelerator:
            task.set_accelerator_type(machine.accelerator).set_accelerator_limit(machine.accelerators)
        if self.customize:
            self.customize(task)


def _memory_quantity(gb: float) -> str:
    """Returns an amount of memory as Kubernetes writes it, in whole GB or else in MB: kfp rejects fractions."""
    mb = round(1000 * gb)
    return f"{mb}M" if mb % 1000 else f"{mb // 1000}G"
