"""What only Kubernetes understands, given to the tasks of the steps; kfp writes it to a second YAML document."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.settings import KubeflowSettings, Machine

if TYPE_CHECKING:
    from kfp import dsl


def task_customizer(settings: KubeflowSettings) -> Callable[["dsl.PipelineTask"], None] | None:
    """Returns what adapts a step's task to the cluster, or None where the settings ask for nothing of the kind.

    Args:
        settings: Of the cluster.
    """
    asked = (
        settings.volume_claim,
        settings.secret,
        settings.run_as_user,
        settings.tolerations,
        settings.node_selector,
    )
    return (lambda task: _customize(settings, task)) if any(asked) else None


def _customize(settings: KubeflowSettings, task: "dsl.PipelineTask") -> None:
    from kfp import kubernetes

    if settings.volume_claim and settings.volume_path:
        kubernetes.mount_pvc(task, settings.volume_claim, settings.volume_path)
    if settings.secret:
        # Optional, so that a step says which credentials it lacks; else its pod waits for the key without end.
        kubernetes.use_secret_as_env(task, settings.secret, {key: key for key in settings.secret_keys}, optional=True)
    if settings.run_as_user:
        kubernetes.set_security_context(task, run_as_user=settings.run_as_user)
    if task.name == "train" or settings.machines.get(task.name, Machine()).accelerator:
        for toleration in settings.tolerations:
            kubernetes.add_toleration(task, **toleration.model_dump())
        for key, value in settings.node_selector.items():
            kubernetes.add_node_selector(task, key, value)
