"""The place that the user chose, by its name and with its settings."""

from collections.abc import Mapping
from typing import Any, cast

from petalflow import __version__
from petalflow.container_images import DEFAULT_REPOSITORY, check_repository, check_tag
from petalflow.errors import UsageError
from pipeline.build import TRAIN, Build
from pipeline.configuration import targets_of
from pipeline.schedule import Schedules
from pipeline.settings import ContainerSettings, DockerSettings, KubeflowSettings, Machine, VertexSettings
from pipeline.target import Target


def find_target(name: str, settings: Mapping[str, ContainerSettings]) -> Target:
    """Returns a place to run.

    Args:
        name: local, docker, kubeflow or vertex.
        settings: Of the places, by name.
    """
    # Each imports the client library of its place.
    if name == "docker":
        from pipeline.targets.docker.target import Docker

        return Docker(cast(DockerSettings, settings[name]))
    if name == "kubeflow":
        from pipeline.targets.kubeflow.target import Kubeflow

        return Kubeflow(cast(KubeflowSettings, settings[name]))
    if name == "vertex":
        from pipeline.targets.vertex.target import Vertex

        return Vertex(cast(VertexSettings, settings[name]))
    from pipeline.targets.local.target import Local

    return Local()


def find_schedules(name: str, settings: Mapping[str, ContainerSettings]) -> Schedules:
    """Returns the schedules of a place; local and docker share those of this machine.

    Args:
        name: local, docker, kubeflow or vertex.
        settings: Of the places, by name.
    """
    if name == "kubeflow":
        from pipeline.targets.kubeflow.schedules import KubeflowSchedules

        return KubeflowSchedules(cast(KubeflowSettings, settings[name]))
    if name == "vertex":
        from pipeline.targets.vertex.schedules import VertexSchedules

        return VertexSchedules(cast(VertexSettings, settings[name]))
    from pipeline.targets.local.schedules import LocalSchedules

    return LocalSchedules(name, find_target)


def build_for(
    on: str | None,
    values: Mapping[str, Mapping[str, Any]],
    repository: str | None = None,
    tag: str | None = None,
    accelerator: str | None = None,
) -> Build:
    """Returns how to compile for a place.

    Args:
        on: The place; None for a file that every place runs.
        values: The user's settings by section; that of the place counts.
        repository: Of the container images; wins over the place's setting.
        tag: Wins over the place's setting.
        accelerator: Of the machine that trains; wins over the place's setting.

    Raises:
        UsageError: If a setting does not do.
    """
    for option, value, check in (
        ("--container-repository", repository, check_repository),
        ("--tag", tag, check_tag),
    ):
        if value is not None:
            try:
                check(value)
            except ValueError as error:
                raise UsageError(f"{option} {value}: {error}") from None
    settings = targets_of(values)
    if on is None or on == "local":
        if accelerator and accelerator.startswith("TPU_"):
            raise UsageError(f"--accelerator {accelerator} is Vertex AI's alone; add --on vertex")
        machines = {TRAIN: Machine(accelerator=accelerator)} if accelerator else {}
        return Build(repository or DEFAULT_REPOSITORY, tag or __version__, machines)
    given = settings[on].model_dump()
    options = {"container_repository": repository, "tag": tag}
    given |= {name: value for name, value in options.items() if value is not None}
    if accelerator is not None:
        machine = given.get("machines", {}).get(TRAIN, {})
        given["machines"] = {**given.get("machines", {}), TRAIN: {**machine, "accelerator": accelerator}}
    return find_target(on, targets_of({on: given})).build()
