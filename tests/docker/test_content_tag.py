import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of the files that go into the container images, and of no others."""
    script = ROOT / "docker" / "content_tag.py"
    for path in [script, *runpy.run_path(str(script))["ingredients"](ROOT)]:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return tmp_path


def tag(checkout: Path) -> str:
    # Without site-packages: the command must not need anything but Python.
    command = [sys.executable, "-I", "-S", "docker/content_tag.py"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout.strip()


def test_the_same_files_have_the_same_tag_anywhere_at_any_time(checkout) -> None:
    assert tag(checkout) == tag(ROOT)
    os.utime(checkout / "setup.py", (0, 0))
    (checkout / "petalflow" / "errors.py").chmod(0o600)
    assert tag(checkout) == tag(ROOT)
    assert len(tag(ROOT)) == 16


def test_unrelated_files_do_not_change_the_tag(checkout) -> None:
    before = tag(checkout)
    for name in ("petalflow/__pycache__/errors.cpython-311.pyc", "petalflow/notes.txt", "tests/test_x.py", "x.py"):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text("junk")
    assert tag(checkout) == before


def test_every_ingredient_changes_the_tag(checkout) -> None:
    tags = {tag(checkout)}
    changed = (
        "components/train/new.py",
        "components/evaluate/report/page.html.j2",
        "requirements/cpu.txt",
        "docker/Dockerfile",
        ".dockerignore",
        "VERSION",
    )
    for name in changed:
        with (checkout / name).open("a") as file:
            file.write("\n")
        tags.add(tag(checkout))
    assert len(tags) == 1 + len(changed)
