"""What tests of several packages need: small image folders, IDX files, places to store, the real data."""

import gzip
import os
import struct
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from petalflow import storage

ROOT = Path(__file__).resolve().parents[1]
_UINT8 = 0x08

# A busy machine is no failure: no test of ours depends on how long an example takes.
hypothesis.settings.register_profile("petalflow", deadline=None)
hypothesis.settings.load_profile("petalflow")

MakeFlowers = Callable[..., Path]
WriteIdx = Callable[[Path, NDArray[np.uint8]], None]
RunPython = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need the real data, so that `-m "not shared_data"` leaves them out."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker("shared_data")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real images of ../shared/data")
    return folder


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty folder: on this machine, then on what stands for an object store."""
    if request.param == "local":
        yield str(tmp_path / "place")
        return
    address = f"memory://place-{uuid.uuid4().hex}"
    yield address
    storage.remove(address)


@pytest.fixture(scope="session")
def make_flowers() -> MakeFlowers:
    """A function that fills a folder with drawings of flowers, a folder a class, each drawing different."""

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
    """A function that writes an array as an IDX file, gzipped where the name says so."""

    def write(path: Path, values: NDArray[np.uint8]) -> None:
        header = struct.pack(f">HBB{values.ndim}I", 0, _UINT8, values.ndim, *values.shape)
        data = header + values.tobytes()
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)

    return write


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """A function that runs lines of Python in a process of its own, which starts with nothing imported."""

    def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
