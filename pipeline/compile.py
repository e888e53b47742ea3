"""The compiled pipeline: how it is made, and where the one that runs is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petalflow import __version__
from petalflow.errors import UsageError
from petalflow.images import PREFIX, check_tag, image
from pipeline.targets.settings import ClusterSettings, ContainerSettings, Machine

if TYPE_CHECKING:
    from kfp import dsl
    from kfp.dsl.base_component import BaseComponent

_HERE = Path(__file__).resolve().parent
_TRAIN = "train"
_WITH_TENSORFLOW = (_TRAIN, "evaluate", "export")


@dataclass(frozen=True)
class Build:
    """How the one definition is fitted to a place.

    Attributes:
        images: Where the images are, REGISTRY/PREFIX.
        tag: Their tag.
        machines: What steps ask of their machine.
        tfds: Whether the source is a TFDS data set, which only an image with TensorFlow can read.
        fit: What only one place understands, done to the task of each step; it makes a second document.
        trainer: Makes what stands in for train, where a plain step cannot ask for the machine; it brings its
            image and its machine with it, and only Google's backend runs it.
        note: What whoever reads the file must know of it.
    """

    images: str = PREFIX
    tag: str = __version__
    machines: Mapping[str, Machine] = field(default_factory=dict)
    tfds: bool = False
    fit: Callable[["dsl.PipelineTask"], None] | None = None
    trainer: Callable[[], "BaseComponent"] | None = None
    note: str = ""

    @classmethod
    def of(cls, settings: ContainerSettings, source: str = "") -> "Build":
        """Returns the build for a place, and for a source if there is one already."""
        machines = settings.machines if isinstance(settings, ClusterSettings) else {}
        return cls(settings.images, settings.tag, machines, source.startswith("tfds:"))

    def image_of(self, step: str) -> str:
        """Returns the image that a step runs in."""
        accelerator = self.machines.get(step, Machine()).accelerator
        if accelerator:
            target = "tpu" if "tpu" in accelerator.lower() else "gpu"
        else:
            target = "cpu" if step in _WITH_TENSORFLOW or (step == "convert" and self.tfds) else "base"
        return image(target, self.images, self.tag)

    def dress(self, task: "dsl.PipelineTask") -> None:
        """Gives the task of a step its image and its machine."""
        if task.name == _TRAIN and self.trainer:
            return
        machine = self.machines.get(task.name, Machine())
        task.set_container_image(self.image_of(task.name))
        if machine.cpu:
            task.set_cpu_limit(f"{machine.cpu:g}")
        if machine.memory_gb:
            task.set_memory_limit(f"{machine.memory_gb:g}G")
        if machine.accelerator:
            task.set_accelerator_type(machine.accelerator).set_accelerator_limit(machine.accelerators)
        if self.fit:
            self.fit(task)


def pipeline_file() -> Path:
    """Returns the compiled pipeline: of the checkout, or the one that was installed with the package."""
    installed = _HERE / "pipeline.yaml"
    return installed if installed.exists() else _HERE.parent / "pipeline.yaml"


def build_for(
    on: str | None,
    values: Mapping[str, Mapping[str, Any]],
    images: str | None = None,
    tag: str | None = None,
    accelerator: str | None = None,
) -> Build:
    """Returns how to compile for a place.

    Args:
        on: The place; None for a file that every place runs.
        values: The user's settings by section; that of the place counts.
        images: Wins over the place's setting.
        tag: Wins over the place's setting.
        accelerator: Of the machine that trains; wins over the place's setting.

    Raises:
        UsageError: If a setting does not do.
    """
    from pipeline.config import targets_of
    from pipeline.targets.target import find_target

    if tag is not None:
        try:
            check_tag(tag)
        except ValueError as error:
            raise UsageError(f"--tag {tag}: {error}") from None
    if on is None or on == "local":
        machines = {_TRAIN: Machine(accelerator=accelerator)} if accelerator else {}
        return Build(images or PREFIX, tag or __version__, machines)
    given = dict(values.get(on, {}))
    given |= {key: value for key, value in (("images", images), ("tag", tag)) if value is not None}
    if accelerator is not None:
        asked = dict(given.get("machines", {}))
        given["machines"] = {**asked, _TRAIN: {**asked.get(_TRAIN, {}), "accelerator": accelerator}}
    return find_target(on, targets_of({on: given})).build()


def compile_pipeline(out: Path, build: Build | None = None) -> None:
    """Writes the compiled pipeline to a file.

    Args:
        out: The file; replaced only by one that obeys the rules of every backend.
        build: How to fit it to a place; None for the one that is committed.

    Raises:
        PetalflowError: If the pipeline breaks a rule of `pipeline.portable`.
    """
    import tempfile
    import warnings

    from kfp import compiler

    from petalflow import storage
    from pipeline.definition import build_pipeline
    from pipeline.portable import check_portable

    build = build or Build()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", FutureWarning)  # kfp's, about its own next version
        aside = Path(folder) / "pipeline.yaml"
        trainer = build.trainer() if build.trainer else None
        compiler.Compiler().compile(build_pipeline(build.dress, trainer, build.note), str(aside))
        text = aside.read_text()
    check_portable(text, documents=2 if build.fit else 1, googles_only=(_TRAIN,) if build.trainer else ())
    storage.write_bytes(str(out), text.encode())
