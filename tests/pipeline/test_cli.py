import subprocess
import sys
from pathlib import Path

import pytest

from petalflow import __version__
from pipeline.schema_file import schema_file

PETALFLOW = str(Path(sys.executable).with_name("petalflow"))


def petalflow(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PETALFLOW, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from pipeline import cli\n"
        "heavy = {'kfp', 'tensorflow', 'keras', 'apache_beam', 'numpy', 'scipy', 'pydantic', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_printed() -> None:
    assert petalflow("--version").stdout == f"petalflow {__version__}\n"


def test_the_schema_is_printed() -> None:
    assert petalflow("settings", "--schema").stdout == schema_file().read_text()


def test_the_problems_of_a_configuration_are_a_line_each() -> None:
    where = ["run", "nowhere", "--out", "o", "--registry", "r", "--name", "n"]
    done = petalflow(*where, "--set", "min_accuracy=70", "--set", "train.bakbone=cnn")
    assert done.returncode == 2
    assert [line.removeprefix("petalflow: error: ").split(" ")[0] for line in done.stderr.splitlines()] == [
        *("min_accuracy", "unknown", "evaluate.min_accuracy=70:")
    ]


@pytest.mark.parametrize(
    "step", ["snapshot", "convert", "validate", "train", "evaluate", "export", "release", "notify", "predict"]
)
def test_every_step_has_the_same_command_twice(step: str) -> None:
    module = subprocess.run([sys.executable, "-m", f"components.{step}", "--help"], capture_output=True, text=True)
    command = petalflow(step, "--help")
    assert module.returncode == command.returncode == 0
    assert module.stdout.split("Options")[1] == command.stdout.split("Options")[1]


def test_a_folder_named_components_does_not_hide_ours(tmp_path) -> None:
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "__init__.py").write_text("raise RuntimeError('hijacked')")
    done = petalflow("settings", "train", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "train.backbone" in done.stdout


def test_compile_writes_the_committed_file(tmp_path) -> None:
    done = petalflow("compile", "-o", str(tmp_path / "out" / "p.yaml"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "p.yaml").read_text() == (Path(__file__).parents[2] / "pipeline.yaml").read_text()


def test_an_error_is_one_line_and_debug_shows_more() -> None:
    arguments = ["run", "nowhere", "--out", "o", "--registry", "r", "--name", "n", "--set", "evaluate.min_accuracy=0.5"]
    plain, debug = petalflow(*arguments), petalflow(*arguments, "--debug")
    assert plain.returncode == debug.returncode == 2
    assert plain.stderr.count("\n") == 1
    assert "nowhere does not exist" in plain.stderr
    assert "Traceback" in debug.stderr


def test_a_run_names_the_file_that_its_settings_are_from(tmp_path: Path) -> None:
    (tmp_path / "petalflow.yaml").write_text("project: {source: nowhere, name: n}\nevaluate: {min_accuracy: 0.5}\n")
    (tmp_path / "below").mkdir()
    done = petalflow("run", cwd=tmp_path / "below")
    assert done.stdout == f"settings of {tmp_path}/petalflow.yaml\n"
    assert f"source {tmp_path}/nowhere does not exist" in done.stderr
    assert done.returncode == 2
