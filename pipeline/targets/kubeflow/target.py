"""Kubeflow Pipelines: uploads the compiled pipeline, starts a run of it, and polls its status."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from components.notify.settings import NotifySettings
from components.train.settings import check_settings, weights_file
from petalflow import storage
from petalflow.errors import UsageError
from pipeline.build import Build
from pipeline.compile import check_compiles, compile_pipeline
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import RunFile
from pipeline.settings import KubeflowSettings, Machine
from pipeline.target import Failure, Probe, check_probes
from pipeline.targets import cluster
from pipeline.targets.addresses import check_addresses, source_location, written_addresses
from pipeline.targets.cluster import Unreachable
from pipeline.targets.kubeflow.api import Api
from pipeline.targets.kubeflow.connection import find_token_file
from pipeline.targets.kubeflow.permissions import NEEDED_BY_SCHEDULES, missing_permissions
from pipeline.targets.kubeflow.watching import WatchedRun

if TYPE_CHECKING:
    from kfp import dsl


@dataclass(frozen=True)
class Kubeflow:
    """Runs on Kubeflow Pipelines 2, in any cluster.

    Attributes:
        settings: Address, credentials, container images, volume.
    """

    settings: KubeflowSettings
    name = "kubeflow"
    runs_detached = True

    def probes(self) -> Sequence[Probe]:
        """Returns probes of the package, the endpoint, our permissions and the volume; only nodes see images."""
        return [
            Probe("package", _probe_package),
            Probe("endpoint", self._probe_endpoint),
            Probe("permission", self._probe_permission),
            Probe("volume", self._probe_volume),
        ]

    def check(self, request: Request, out: Path) -> None:
        """Checks the endpoint, and the addresses and settings as far as this machine can see them."""
        check_compiles(self.build(request.source))
        self._check_visible_to_steps(request)
        self._check_secrets(request.configuration.notify)
        request.configuration.notify.check_reachable()
        check_probes(self.probes())
        train = request.configuration.train
        if self._is_volume_visible() or not any(storage.is_local(address) for address in _addresses(request).values()):
            check_addresses(request, out)
            check_settings(train)
        elif weights_file(train) is None:
            check_settings(train)

    def build(self, source: str = "") -> Build:
        """Returns a build with the images and machines of the settings, and what only Kubernetes understands."""
        return replace(Build.of(self.settings, source), customize=_task_customizer(self.settings))

    def code_version(self) -> str:
        """Returns a hash of the sources and the container images' names."""
        return self.build().code_version()

    def submit(self, request: Request, run: RunFile) -> None:
        """Uploads the pipeline unless this exact file is there already, and starts a run named by our run id."""
        file = run.path.parent / "pipeline.yaml"
        compile_pipeline(file, self.build(request.source))
        api = Api.connect(self.settings)
        experiment = api.experiment(self.settings.experiment)
        # It exists if an earlier command was killed before it could record it.
        started = api.find_run(experiment, run.run_id) or api.create_run(
            experiment,
            run.run_id,
            api.version(file),
            run.arguments(),
            self.settings.service_account,
        )
        run.job, run.link = started.run_id, api.link(started.run_id)

    def follow(self, request: Request, run: RunFile, display: Display) -> Failure | None:
        """Polls the run until it has ended."""
        watched = WatchedRun(Api.connect(self.settings), run, display)
        ended = cluster.follow(watched.status, run, display, self.settings.poll_s)
        return None if ended.succeeded else watched.failure(request)

    def _probe_endpoint(self) -> str:
        api = Api.connect(self.settings)
        try:
            several = api.health().multi_user
        except Unreachable as error:
            raise UsageError(f"{error}; check that it is running and that kubeflow.host is its address") from None
        if several and not self.settings.namespace:
            raise UsageError(f"{api.host} serves several users; set kubeflow.namespace to yours")
        if several is False and self.settings.namespace:
            raise UsageError(f"{api.host} serves one user, without namespaces; remove kubeflow.namespace")
        return api.host

    def _probe_permission(self) -> str:
        api, namespace = Api.connect(self.settings), self.settings.namespace
        try:
            api.check_permission()
        except Unreachable as error:
            raise UsageError(f"{error}; try again, or check the pods in the namespace kubeflow") from None
        if namespace is None:
            return "any: Kubeflow serves one user, without permissions"
        missing = missing_permissions(namespace, find_token_file(self.settings))
        if missing is None:
            return f"may list the runs of {namespace}; only a pod of the cluster can check whether you may create them"
        needed = [what for what in missing if what not in NEEDED_BY_SCHEDULES]
        if needed:
            raise UsageError(f"no permission to create {', '.join(needed)} in {namespace}; {api.permission_hint}")
        but = f", but not schedules (no permission to create {', '.join(missing)})" if missing else " and schedules"
        return f"may create runs{but} in {namespace}"

    def _probe_volume(self) -> str:
        if not self.settings.volume_path:
            return "none: every address must be a URI"
        seen = "visible from here" if self._is_volume_visible() else "not visible from here: no checks, no report"
        return f"{self.settings.volume_path}, {seen}"

    def _is_volume_visible(self) -> bool:
        return self.settings.volume_path is not None and Path(self.settings.volume_path).is_dir()

    def _check_visible_to_steps(self, request: Request) -> None:
        for what, address in _addresses(request).items():
            if not storage.is_local(address):
                continue
            if not self.settings.volume_path:
                raise UsageError(
                    f"{what} {address} is on this machine, which the cluster cannot see; use a URI, "
                    "or a volume: --set kubeflow.volume_claim=NAME --set kubeflow.volume_path=FOLDER"
                )
            if not storage.local_path(address).is_relative_to(self.settings.volume_path):
                raise UsageError(
                    f"{what} {address} is not inside kubeflow.volume_path={self.settings.volume_path!r}, "
                    "the only part that the cluster can see; move it there"
                )

    def _check_secrets(self, notify: NotifySettings) -> None:
        for name in notify.secret_variables:
            if not self.settings.secret or name not in self.settings.secret_keys:
                raise UsageError(
                    f"the notify settings use env:{name}, which is not set in the steps; put it into a Kubernetes "
                    f"secret, set kubeflow.secret to its name, and add {name} to kubeflow.secret_keys"
                )


def _addresses(request: Request) -> dict[str, str]:
    """Returns the addresses that the steps read and write: option or setting -> address."""
    file = weights_file(request.configuration.train)
    return {**source_location(request), **written_addresses(request), **({"train.weights": file} if file else {})}


def _probe_package() -> str:
    try:
        import kfp.kubernetes  # noqa: F401
    except ImportError:
        raise UsageError("--on kubeflow needs kfp-kubernetes: pip install '.[kubeflow]' in the checkout") from None
    return f"kfp {version('kfp')}, kfp-kubernetes {version('kfp-kubernetes')}"


def _task_customizer(settings: KubeflowSettings) -> Callable[["dsl.PipelineTask"], None] | None:
    """Returns a function that adapts a step's task to the cluster, or None if the settings need none.

    kfp writes these adaptations to a second YAML document.

    Args:
        settings: The cluster's settings.
    """
    adaptations = (
        settings.volume_claim,
        settings.secret,
        settings.run_as_user,
        settings.tolerations,
        settings.node_selector,
    )
    return (lambda task: _customize(settings, task)) if any(adaptations) else None


def _customize(settings: KubeflowSettings, task: "dsl.PipelineTask") -> None:
    from kfp import kubernetes

    if settings.volume_claim and settings.volume_path:
        kubernetes.mount_pvc(task, settings.volume_claim, settings.volume_path)
    if settings.secret:
        # Optional, so that a step reports missing credentials; else its pod would wait for the key forever.
        kubernetes.use_secret_as_env(task, settings.secret, {key: key for key in settings.secret_keys}, optional=True)
    if settings.run_as_user:
        kubernetes.set_security_context(task, run_as_user=settings.run_as_user)
    if task.name == "train" or settings.machines.get(task.name, Machine()).accelerator:
        for toleration in settings.tolerations:
            kubernetes.add_toleration(task, **toleration.model_dump())
        for key, value in settings.node_selector.items():
            kubernetes.add_node_selector(task, key, value)
