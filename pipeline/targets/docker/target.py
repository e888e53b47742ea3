"""Docker on this machine: kfp.local runs the compiled pipeline, each step in a container."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from components.train.settings import check_settings, downloads_weights, weights_file
from petalflow import storage
from petalflow.errors import UsageError
from petalflow.run.lock import RUN_ID
from petalflow.run.steps import STEPS
from pipeline.build import Build
from pipeline.code_version import source_hash
from pipeline.compile import compile_pipeline, pipeline_file
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import RunFile
from pipeline.settings import DockerSettings
from pipeline.target import Failure, Probe, check_probes
from pipeline.targets import kfp_local
from pipeline.targets.addresses import check_addresses, current_source, source_location, written_addresses

if TYPE_CHECKING:
    import docker

# User id of the steps if root runs the command: an unprivileged one.
_NOBODY = 65532
# Labels containers with the folder of their run, which is locked while a command follows a run in it.
_OUT_LABEL = "petalflow.out"
_SOURCE_LABEL = "petalflow.source-hash"
# Variables that a step in a container needs to reach an object store; notify may need more.
_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
_FORWARDED = (
    _CREDENTIALS,
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_CLOUD_PROJECT",
    "STORAGE_EMULATOR_HOST",
)


@dataclass(frozen=True)
class Docker:
    """Runs steps in containers: not as root, without capabilities, with source and root file system read-only.

    Attributes:
        settings: Container images and network.
    """

    settings: DockerSettings
    name = "docker"
    runs_detached = False

    def probes(self) -> Sequence[Probe]:
        """Returns probes of the engine, the container images and the network."""
        containers = [
            Probe(f"container image {name}", partial(_probe_container_image, name)) for name in self._container_images()
        ]
        return [Probe("engine", _probe_engine), *containers, Probe("network", self._probe_network)]

    def check(self, request: Request, out: Path) -> None:
        """Checks the addresses, Docker, the container images, and train's settings."""
        check_probes(self.probes())
        check_addresses(request, out)
        if ":" in str(out):
            raise UsageError(f"--out {out} contains a ':', so Docker cannot mount it; choose another folder")
        check_visible_to_steps(request)
        request.configuration.notify.check_reachable()
        check_settings(request.configuration.train)

    def build(self, source: str = "") -> Build:
        """Returns a build with the container images of the settings."""
        return Build.of(self.settings, source)

    def code_version(self) -> str:
        """Returns the ids of the container images, which change with their code."""
        with connected() as client:
            return "-".join(client.images.get(image).id.partition(":")[2][:12] for image in self._container_images())

    def submit(self, request: Request, run: RunFile) -> None:
        """Does nothing: a run on this machine exists only while it is followed."""

    def follow(self, request: Request, run: RunFile, display: Display) -> Failure | None:
        """Runs the pipeline until it has ended."""
        from kfp import local

        out = run.path.parent
        user, group = _user(out)
        for folder in _written(request, out):
            _make_writable(folder, user, group)
        runner = local.DockerRunner(
            user=f"{user}:{group}",
            mounts=mounts(request),
            network_mode=self.network(request),
            environment={**forwarded_environment(request), RUN_ID: run.run_id},
            read_only=True,
            tmpfs={"/tmp": ""},  # noqa: S108  (in the container)
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            labels={_OUT_LABEL: str(out)},
        )
        with _cleaned_up(out):
            return kfp_local.execute(runner, self._pipeline(request.source, out), out, run, display)

    def _container_images(self) -> list[str]:
        return sorted({self.build().container_image(step) for step in STEPS})

    def _pipeline(self, source: str, out: Path) -> Path:
        """Returns the committed pipeline, or one compiled with other container images."""
        build = self.build(source)
        if build == Build():
            return pipeline_file()
        compile_pipeline(out / "pipeline.yaml", build)
        return out / "pipeline.yaml"

    def _probe_network(self) -> str:
        import docker

        name = self.settings.network
        if name != "auto":
            with connected() as client:
                try:
                    client.networks.get(name)
                except docker.errors.APIError:
                    raise UsageError(f"Docker network {name} not found; correct docker.network") from None
        return name

    def network(self, request: Request) -> str:
        """Returns the Docker network of the steps; "none" if they need none."""
        if self.settings.network != "auto":
            return self.settings.network
        read = (*source_location(request).values(), weights_file(request.configuration.train) or "")
        local = all(storage.is_local(address) for address in (*read, *written_addresses(request).values()))
        goes_out = downloads_weights(request.configuration.train) or request.configuration.notify.uses_network
        return "none" if local and not goes_out else "bridge"


@contextlib.contextmanager
def connected() -> Iterator["docker.DockerClient"]:
    """Provides a client of the Docker engine.

    Raises:
        UsageError: If no engine answers.
    """
    try:
        import docker
    except ImportError:
        raise UsageError("--on docker needs the package docker: pip install '.[docker]' in the checkout") from None
    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        raise UsageError(
            f"no Docker engine answers ({_cause(error)}); start it, or add your user to the group docker"
        ) from None
    with contextlib.closing(client):
        yield client


def _cause(error: Exception) -> str:
    """Returns the system's error message, without the layers of libraries around it."""
    inner = re.search(r"(PermissionError|FileNotFoundError|ConnectionRefusedError)\(\d+, '([^']+)'\)", str(error))
    return inner[2] if inner else " ".join(str(error).split())


def _probe_engine() -> str:
    with connected() as client:
        return f"Docker {client.version()['Version']}"


def _probe_container_image(name: str) -> str:
    import docker

    with connected() as client:
        try:
            image = client.images.get(name)
        except docker.errors.APIError:
            raise UsageError(
                f"container image {name} not found; run make container-images, or docker pull it"
            ) from None
    if image.labels.get(_SOURCE_LABEL) != source_hash():
        raise UsageError(
            f"container image {name} was built from different code than this command; run make container-images, or "
            "set docker.tag"
        )
    return f"{image.attrs['Size'] / 1e9:.2f} GB"


def _user(out: Path) -> tuple[int, int]:
    """Returns the user and group id of the steps: the owner of the run's folder, but never root."""
    owner = out.stat()
    return (owner.st_uid, owner.st_gid) if owner.st_uid else (_NOBODY, _NOBODY)


def _written(request: Request, out: Path) -> list[Path]:
    """Returns the folders on this machine that steps write to."""
    addresses = (storage.join(request.registry, request.name), request.state_uri, request.record_uri)
    return [out / kfp_local.WORK, *_local_paths(addresses)]


def _local_paths(addresses: Iterable[str]) -> list[Path]:
    """Returns the local addresses as paths."""
    return [storage.local_path(address) for address in addresses if storage.is_local(address)]


def _make_writable(folder: Path, user: int, group: int) -> None:
    """Creates a folder; changes the owner of what root created to the user."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            if path.lstat().st_uid == 0:
                os.chown(path, user, group, follow_symlinks=False)


def check_visible_to_steps(request: Request) -> None:
    """Checks that containers will see the source: its fixed part must exist when they start.

    Raises:
        UsageError: If they will not see it.
    """
    visible = request.source_pattern.fixed_part
    if visible.is_remote:
        return
    if visible.needs_preparing:
        raise UsageError(
            f"{request.source} is not prepared in {visible.options.tfds_data_dir}, where containers cannot write; "
            f"prepare it first: petalflow snapshot {request.source} --out listing.jsonl --set "
            f"tfds_data_dir={visible.options.tfds_data_dir}"
        )
    seen, source = visible.extent, current_source(request)
    if seen == "/":
        raise UsageError(
            f"source {request.source}: containers cannot be given all of /; put the dated folders into one folder"
        )
    if request.configuration.snapshot.source_wait_minutes and not storage.exists(seen):
        raise UsageError(
            f"source {seen} does not exist, and containers do not see folders created after they start; create it, and "
            "the run waits until it contains files"
        )
    if source is not None:
        _check_no_link_leads_out(storage.local_path(source.extent), storage.local_path(seen).resolve())


def _check_no_link_leads_out(source: Path, seen: Path) -> None:
    """Checks that no link leads out of `seen`, the only part of the source that containers see."""
    inside = (Path(folder, name) for folder, folders, files in os.walk(source) for name in (*folders, *files))
    for path in chain([source], filter(Path.is_symlink, inside)):
        if not path.resolve().is_relative_to(seen):
            raise UsageError(
                f"{path} links to {path.resolve()}, outside the source, where containers cannot see it; copy it"
            )


def forwarded_environment(request: Request) -> dict[str, str]:
    """Returns the environment variables that the steps receive from us."""
    names = (*_FORWARDED, *request.configuration.notify.secret_variables)
    return {name: os.environ[name] for name in names if name in os.environ}


def mounts(request: Request) -> list["docker.types.Mount"]:
    """Returns the mounts of the steps, each at its own path; kfp mounts the folder of the run."""
    from docker.types import Mount

    train, secrets = request.configuration.train, request.configuration.notify.secret_files
    read = (
        request.source_pattern.fixed_part.extent,
        weights_file(train) or "",
        os.environ.get(_CREDENTIALS, ""),
        *secrets,
    )
    read_only = {path: True for path in _local_paths(read) if path.is_absolute() and path.exists()}
    mounts = read_only | dict.fromkeys(_local_paths(written_addresses(request).values()), False)
    return [Mount(str(path), str(path), type="bind", read_only=only) for path, only in mounts.items()]


@contextlib.contextmanager
def _cleaned_up(out: Path) -> Iterator[None]:
    """Removes the containers of a folder's runs: before the block, those that a killed command left; and after it."""
    _remove_containers(out)
    try:
        yield
    finally:
        _remove_containers(out)


def _remove_containers(out: Path) -> None:
    import docker

    with connected() as client:
        for container in client.containers.list(filters={"label": f"{_OUT_LABEL}={out}"}):
            with contextlib.suppress(docker.errors.APIError):  # already being removed
                container.remove(force=True)
