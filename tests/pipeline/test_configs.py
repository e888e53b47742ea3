"""The files of configs/: whoever follows the head of one must get through."""

import itertools
import shlex
from pathlib import Path

import pytest
import yaml

from components.train.settings import TrainSettings, check_settings
from pipeline.configuration import Configuration

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))
ASKED = {
    "cats_dogs",
    "cifar10_resnet50",
    "digits",
    "fashion_mnist_cnn",
    "fashion_mnist_dense",
    "flowers_finetuned",
    "flowers_frozen",
    "horses_or_humans_150",
    "horses_or_humans_300",
    "mnist_dense",
    "multilabel",
}


def head(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return list(itertools.takewhile(lambda line: line.startswith("#"), lines))


def test_every_known_task_is_there() -> None:
    assert {path.stem for path in CONFIGS} == ASKED


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_its_settings_exist_and_fit_together(path: Path) -> None:
    given = yaml.safe_load(path.read_text())
    Configuration.of({"evaluate": {"min_accuracy": 0.5}, **given})  # single steps need no threshold
    check_settings(TrainSettings.of(given["train"]))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_its_head_names_its_command_and_the_origin_of_its_numbers(path: Path) -> None:
    lines = head(path)
    commands = [shlex.split(line.removeprefix("#")) for line in lines if line.startswith("#   petalflow ")]
    assert commands
    for words in commands:
        assert words[words.index("--config") + 1] == f"configs/{path.name}"
        assert "--out" in words
        if words[1] == "run":
            assert {"--registry", "--name"} <= set(words)
            assert "evaluate" in yaml.safe_load(path.read_text()), "a run without thresholds is refused"
    assert any(line.startswith(("# Measured", "# Published")) for line in lines)
