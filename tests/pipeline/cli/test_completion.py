import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.catalogue import read_settings
from pipeline.cli.completion import complete_assignment, complete_schedule, complete_setting
from pipeline.project import FILE_SECTIONS
from pipeline.targets.local import schedule_files

PETALFLOW = str(Path(sys.executable).with_name("petalflow"))
PROTOCOLS: dict[str, Mapping[str, str]] = {
    "bash": {"COMP_WORDS": "petalflow run --set train.pool", "COMP_CWORD": "3"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "petalflow run --set train.pool"},
    "fish": {"_TYPER_COMPLETE_ARGS": "petalflow run --set train.pool", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


def test_an_assignment_is_completed_to_the_names_of_settings() -> None:
    names = [assignment.partition("=")[0] for assignment, _ in complete_assignment("")]
    assert list(dict.fromkeys(names)) == [setting.name for setting in read_settings(FILE_SECTIONS.values())]
    assert dict(complete_assignment("train.backb")) == {
        "train.backbone=": next(one.meaning for one in read_settings(FILE_SECTIONS.values()) if "backbone" in one.name)
    }


@pytest.mark.parametrize(
    ("incomplete", "found"),
    [
        ("train.decay", ["train.decay=none", "train.decay=cosine"]),
        ("train.decay=c", ["train.decay=cosine"]),
        ("snapshot.overlap=", ["snapshot.overlap=wait", "snapshot.overlap=skip"]),
        ("export.litert", ["export.litert=true", "export.litert=false"]),
        ("train.augment.fl", [f"train.augment.flip={how}" for how in ("none", "horizontal", "vertical", "both")]),
        ("trian", []),
    ],
)
def test_choices_are_completed_too(incomplete: str, found: list[str]) -> None:
    assert [assignment for assignment, _ in complete_assignment(incomplete)] == found


def test_sections_come_before_their_settings() -> None:
    assert dict(complete_setting(""))["train"] == "What to train, and how."
    assert [name for name, _ in complete_setting("")] == list(FILE_SECTIONS)
    assert [name for name, _ in complete_setting("train.po")] == ["train.pooling"]


def test_schedules_of_this_machine_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(schedule_files.CONFIG_HOME, str(tmp_path))
    folder = tmp_path / "petalflow" / "schedules"
    folder.mkdir(parents=True)
    for name in ("flowers", "fruit"):
        (folder / f"{name}.json").touch()
    assert list(complete_schedule("fl")) == ["flowers"]


@pytest.mark.parametrize("shell", PROTOCOLS)
def test_the_command_answers_each_shell(shell: str) -> None:
    environment = {**os.environ, "_PETALFLOW_COMPLETE": f"complete_{shell}", **PROTOCOLS[shell]}
    done = subprocess.run([PETALFLOW], env=environment, capture_output=True, text=True, check=True)
    assert "train.pooling=flatten" in done.stdout
    assert "train.backbone" not in done.stdout


def test_bash_completes_after_the_installation(tmp_path: Path) -> None:
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{Path(PETALFLOW).parent}:{os.environ['PATH']}"}
    # As bash does it when the user presses the tab key.
    script = """
        petalflow --install-completion >/dev/null
        . ~/.bashrc
        COMP_WORDS=(petalflow run --on ku) COMP_CWORD=3
        $(complete -p petalflow | grep -o '_[a-z_]*completion') petalflow
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "kubeflow\n", done.stderr
