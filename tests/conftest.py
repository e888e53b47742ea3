"""Fixtures that several packages' tests share: small image folders, IDX files, stores, services, the real data."""

import gzip
import logging
import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from petalflow import storage
from petalflow.run.execution import OUR_LOGGERS
from tests import preloaded
from tests.groups import group_of, rank, unknown_names
from tests.servers.docker import build_container_images, running_docker
from tests.servers.gcs import running_gcs
from tests.servers.s3 import running_s3
from tests.servers.store import Store

if TYPE_CHECKING:
    from tests.servers.google import Google
    from tests.servers.kubeflow import Kubeflow
    from tests.servers.vertex import Vertex

ROOT = Path(__file__).resolve().parents[1]
_UINT8 = 0x08

# No deadline for an example: a busy machine must not fail a test. HYPOTHESIS_PROFILE=thorough looks longer.
hypothesis.settings.register_profile("petalflow", deadline=None, max_examples=50)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "petalflow"))

MakeFlowers = Callable[..., Path]
WriteIdx = Callable[[Path, NDArray[np.uint8]], None]
RunPython = Callable[..., subprocess.CompletedProcess[str]]


def pytest_configure(config: pytest.Config) -> None:
    """Prepares the preloaded Python, and lets Ctrl-C be tested where a background shell has it ignored.

    Raises:
        UsageError: If the groups name a test that does not exist.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):  # in pytest-xdist's workers it is inherited
        preloaded.prepare()
        if unknown := unknown_names(ROOT):
            raise pytest.UsageError(f"tests/groups.py names what does not exist: {', '.join(unknown)}; correct it")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the preloaded Python."""
    if not hasattr(config, "workerinput"):
        preloaded.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need the real data, for `-m "not shared_data"`, and puts the longest groups first."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker("shared_data")
    items.sort(key=lambda item: rank(group_of(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Returns what gives whole groups to pytest-xdist's processes.

    Its own loadgroup does not: pytest-xdist 3.8 adds the group to an attribute that pytest 9.2 does not read.
    """
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return GroupScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(autouse=True)
def _log_of_a_new_process() -> None:
    """Resets the loggers that a step configured in the tests' own process."""
    for name in OUR_LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
        logger.handlers.clear()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real images of ../shared/data")
    return folder


@pytest.fixture(scope="session")
def gs() -> Iterator[Store]:
    """An emulated Google Cloud Storage."""
    with running_gcs() as store:
        yield store


@pytest.fixture(scope="session")
def s3() -> Iterator[Store]:
    """An emulated S3."""
    with running_s3() as store:
        yield store


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[None]:
    """A Docker engine, running for the session."""
    with running_docker():
        yield


@pytest.fixture(scope="session")
def container_images(docker_engine: None) -> None:
    """The container images base and cpu of this checkout, under the names in pipeline.yaml."""
    build_container_images()


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Google"]:
    """A certificate, a service account and a container registry, as Google's services share them."""
    from tests.servers.google import running_google

    with running_google(tmp_path_factory.mktemp("google")) as google, pytest.MonkeyPatch.context() as patch:
        # gRPC reads it once per process.
        patch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", google.environment["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"])
        yield google


@pytest.fixture(scope="session")
def vertex_server(google: "Google") -> Iterator["Vertex"]:
    """A fake Vertex AI Pipelines and Cloud Logging, built from Google's published messages."""
    from tests.servers.vertex import running_vertex

    with running_vertex(google) as server:
        yield server


@pytest.fixture
def vertex(vertex_server: "Vertex", gs: Store, monkeypatch: pytest.MonkeyPatch) -> "Vertex":
    """The fake Vertex AI, reset, and an emulated Google Cloud Storage, for this process and its children."""
    vertex_server.reset()
    for name, value in {**vertex_server.google.environment, **gs.environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    return vertex_server


@pytest.fixture
def kubeflow() -> Iterator["Kubeflow"]:
    """A fake Kubeflow Pipelines, built from the models of its API client."""
    from tests.servers.kubeflow import running_kubeflow

    with running_kubeflow() as server:
        yield server


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user's own crontab, from which a test's lines are removed, and a folder for the files of schedules.

    Lines are recognised by the test's folder in them; other tests may have lines there at the same time.
    """
    from pipeline.targets.local import crontab

    if not shutil.which("crontab"):
        pytest.skip("needs the program crontab (Debian: apt install cron)")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    yield
    crontab.change(
        lambda table: "".join(line for line in table.splitlines(keepends=True) if f"{tmp_path}/" not in line)
    )


@pytest.fixture(params=["gs", "s3"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Each object store in turn, used by this process and its children during the test."""
    store: Store = request.getfixturevalue(request.param)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return store


@pytest.fixture(params=["local", "memory", "gs", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty folder: local, in memory, and in object stores through their real clients."""
    if request.param == "local":
        yield str(tmp_path / "place")
    elif request.param == "memory":
        address = f"memory://place-{uuid.uuid4().hex}"
        yield address
        storage.remove(address)
    else:
        store: Store = request.getfixturevalue(request.param)
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        yield f"{store.new_bucket()}/place"


@pytest.fixture(scope="session")
def make_flowers() -> MakeFlowers:
    """A function that fills a folder with drawings of flowers, one folder per class, no two alike."""

    def make(folder: Path, classes: tuple[str, ...] = ("daisy", "rose", "tulip"), each: int = 8, px: int = 32) -> Path:
        for place, name in enumerate(classes):
            (folder / name).mkdir(parents=True)
            for number in range(each):
                rng = np.random.default_rng([place, number])
                _flower(rng, 60 + 70 * place, px).save(folder / name / f"{number:03d}.jpg", quality=90)
        return folder

    return make


def _flower(rng: np.random.Generator, hue: int, px: int) -> Image.Image:
    image = Image.new("HSV", (px, px), (85, 120, int(rng.integers(60, 140))))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = rng.uniform(0.2, 0.8, 2) * px
        radius = px * rng.uniform(0.08, 0.2)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (hue, 200, int(rng.integers(150, 255))))
    pixels = np.asarray(image.convert("RGB"), np.int16) + rng.integers(-10, 11, (px, px, 3), np.int16)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def write_idx() -> WriteIdx:
    """A function that writes an array as an IDX file, gzipped if its name ends in .gz."""

    def write(path: Path, values: NDArray[np.uint8]) -> None:
        header = struct.pack(f">HBB{values.ndim}I", 0, _UINT8, values.ndim, *values.shape)
        data = header + values.tobytes()
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)

    return write


@pytest.fixture(scope="session")
def preloaded_python() -> str:
    """A Python that starts with everything imported; see `tests.preloaded`."""
    return preloaded.python()


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """A function that runs Python code in a new process with nothing imported."""

    def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return _run_python([sys.executable, "-c", textwrap.dedent(code), *arguments], environment)

    return run


@pytest.fixture
def run_preloaded(preloaded_python: str, tmp_path: Path) -> RunPython:
    """A function that runs Python code in a new process with everything imported; TensorFlow has no devices yet."""

    def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(code))
        return _run_python([preloaded_python, str(script), *arguments], environment)

    return run


def _run_python(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )
