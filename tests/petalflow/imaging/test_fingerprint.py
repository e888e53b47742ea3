import shutil
import subprocess
import sys
from pathlib import Path

import PIL

import petalflow.imaging
from petalflow.imaging import fingerprint
from petalflow.imaging.fingerprint import versions


def told_by(folder: Path) -> str:
    """Returns the fingerprint that a copy of the package in a folder gives, in a process of its own."""
    code = "from petalflow.imaging import fingerprint; print(fingerprint())"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_only_a_change_of_the_code_changes_the_fingerprint(tmp_path: Path) -> None:
    package = tmp_path / "petalflow" / "imaging"
    shutil.copytree(Path(petalflow.imaging.__file__).parent, package)
    shutil.copy(Path(petalflow.__file__), package.parent)
    assert told_by(tmp_path) == f"{fingerprint()}\n"
    with (package / "encode.py").open("a") as source:
        source.write("# changed\n")
    assert told_by(tmp_path) != f"{fingerprint()}\n"


def test_the_fingerprint_covers_the_libraries_that_decode_and_encode() -> None:
    assert versions()["pillow"] == PIL.__version__
    assert all(versions()[name] for name in ("jpg", "zlib", "webp", "littlecms2"))
