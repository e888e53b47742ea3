import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.code_version import code_version, source_hash

ROOT = Path(__file__).parents[2]


def version_in(folder: Path) -> str:
    command = [sys.executable, "-c", "from pipeline.code_version import code_version; print(code_version())"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_the_code_version_changes_only_with_the_steps_code(tmp_path) -> None:
    for package in ("petalflow", "components", "pipeline"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    before = version_in(tmp_path)
    assert before == code_version(), "a copy elsewhere is the same code"
    (tmp_path / "pipeline" / "cli.py").write_text("# other")
    assert version_in(tmp_path) == before
    template = tmp_path / "components" / "evaluate" / "report" / "page.html.j2"
    template.write_text(template.read_text() + " ")
    assert version_in(tmp_path) != before


def test_the_hash_of_the_sources_needs_no_library() -> None:
    command = [sys.executable, "-S", "-m", "pipeline.code_version"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert output == source_hash() + "\n"
    assert output.strip() != code_version(), "that one also knows the libraries"
