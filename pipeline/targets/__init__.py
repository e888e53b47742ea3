"""Where a run can be executed: one package per target, all with the same interface (`pipeline.target`)."""

from collections.abc import Mapping
from typing import cast

from pipeline.schedule import Schedules
from pipeline.settings import ContainerSettings, DockerSettings, KubeflowSettings, VertexSettings
from pipeline.target import Target


def find_target(name: str, settings: Mapping[str, ContainerSettings]) -> Target:
    """Returns a target.

    Args:
        name: local, docker, kubeflow or vertex.
        settings: The targets' settings, by name.
    """
    # Imported here, since each target imports its own client library.
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
    """Returns the schedules of a target; local and docker share those of this machine.

    Args:
        name: local, docker, kubeflow or vertex.
        settings: The targets' settings, by name.
    """
    if name == "kubeflow":
        from pipeline.targets.kubeflow.schedules import KubeflowSchedules

        return KubeflowSchedules(cast(KubeflowSettings, settings[name]))
    if name == "vertex":
        from pipeline.targets.vertex.schedules import VertexSchedules

        return VertexSchedules(cast(VertexSettings, settings[name]))
    from pipeline.targets.local.schedules import LocalSchedules

    return LocalSchedules(name, find_target)
