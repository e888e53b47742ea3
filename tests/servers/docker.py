"""Docker for the tests: the running engine, or else our own; and the images that `make container-images` builds."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON_IMAGE = "python:3.11-slim"
# The build needs the package index, which may be out of reach of the engine's own network.
_BUILD_OPTIONS = "--network host"
_START_S = 60


@contextlib.contextmanager
def running_docker() -> Iterator[None]:
    """Provides a Docker engine during the block; skips the tests where there cannot be one."""
    if not shutil.which("docker"):
        pytest.skip("needs Docker: no command `docker`")
    if _engine_runs():
        yield
        return
    if os.getuid() != 0 or not shutil.which("dockerd"):
        pytest.skip("needs Docker: no engine answers, and only root with `dockerd` can start one")
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(["dockerd"], stdout=log, stderr=log) as engine:
        try:
            deadline = time.monotonic() + _START_S
            while not _engine_runs():
                ended = engine.poll() is not None
                if ended or time.monotonic() > deadline:
                    log.seek(0)
                    last = "".join(log.read().strip().splitlines()[-1:])
                    pytest.skip(f"needs Docker: dockerd {'ended' if ended else 'does not answer'}: {last}")
                time.sleep(0.2)
            yield
        finally:
            engine.terminate()


def build_container_images() -> None:
    """Builds base and cpu; the engine caches what it has built before."""
    if not _docker("image", "inspect", PYTHON_IMAGE) and not _docker("pull", "--quiet", PYTHON_IMAGE):
        if os.getuid() != 0 or not shutil.which("debootstrap"):
            pytest.skip(f"needs {PYTHON_IMAGE}: no registry is in reach, and only root with debootstrap can make it")
        _run("docker/python-from-debian.sh")
    _run("make", "container-images", f"DOCKER_BUILD={_BUILD_OPTIONS}")


def _engine_runs() -> bool:
    return _docker("version", "--format", "{{.Server.Version}}")


def _docker(*arguments: str) -> bool:
    return subprocess.run(["docker", *arguments], capture_output=True, check=False).returncode == 0


def _run(*command: str) -> None:
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-3000:]}"
