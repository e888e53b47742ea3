import io
from pathlib import Path

import pytest
from rich.console import Console

from petalflow.errors import UsageError
from pipeline.cli.settings import show
from pipeline.project import FILE_SECTIONS

DOCS = Path(__file__).resolve().parents[3] / "docs"


def shown(
    name: str | None = None, search: str | None = None, *, everything: bool = False, width: int | None = None
) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=width is not None, color_system=None)
    show(FILE_SECTIONS, name, search, everything=everything, console=console)
    return console.file.getvalue().splitlines()


def test_piped_output_is_a_setting_per_line_without_headlines(capsys) -> None:
    lines = shown()
    assert all("." in line.split()[0] and len(line.split("  ")[-1]) > 5 for line in lines)
    defaults = dict(line.split()[:2] for line in lines)
    assert defaults["evaluate.min_accuracy"] == "null"
    assert defaults["notify.email_to"] == "[]"
    hint = capsys.readouterr().err
    assert hint.startswith(f"{len(shown(everything=True)) - len(lines)} more: petalflow settings --all")
    assert len(lines) < 60


def test_everything_includes_what_is_rarely_needed(capsys) -> None:
    everything = shown(everything=True)
    assert len(everything) > 200
    assert capsys.readouterr().err == "", "no hint"
    assert {line.split()[0] for line in shown()} < {line.split()[0] for line in everything}


def test_a_terminal_gets_sections_with_their_purpose_within_its_width() -> None:
    for width in (60, 80, 140):
        lines = shown(width=width)
        assert max(map(len, lines)) <= width
        headline = next(line for line in lines if line.startswith("evaluate"))
        assert headline.startswith("evaluate  The thresholds a candidate must reach")
    assert len(shown(width=140)) < len(shown(width=80))


def test_a_section_lists_all_of_its_settings_the_common_ones_first() -> None:
    names = [line.split()[0] for line in shown("train")]
    assert names[:3] == ["train.backbone", "train.weights", "train.image_size_px"]
    assert names.index("train.max_epochs") < names.index("train.dropout")
    assert {name.partition(".")[0] for name in names} == {"train"}


def test_a_group_lists_its_settings() -> None:
    assert next(line.split()[0] for line in shown("augment")) == "train.augment.rotation_degrees"
    assert len(shown("train.augment")) == len(shown("augment")) > 5


@pytest.mark.parametrize("name", ["backbone", "train.backbone"])
def test_a_setting_is_explained(name: str) -> None:
    text = "\n".join(shown(name))
    assert text.startswith("train.backbone\n")
    assert "--set train.backbone=MobileNetV2" in text
    lines = [line.strip() for line in text.splitlines()]
    assert "backbone: MobileNetV2" in lines
    assert any(line.startswith("default") for line in lines)
    assert "docs/train.md" in text


def test_an_example_can_be_pasted_into_a_shell_and_a_file() -> None:
    text = "\n".join(shown("min_slice_accuracy"))
    assert """--set 'evaluate.min_slice_accuracy={"brightness=dark": 0.7}'""" in text
    nested = [line.rstrip() for line in shown("augment.flip")]
    at = next(index for index, line in enumerate(nested) if "in a file" in line)
    start = nested[at].index("train:")
    assert [line[start:] for line in nested[at : at + 3]] == ["train:", "  augment:", "    flip: horizontal"]


def test_a_former_name_leads_to_the_current_one() -> None:
    text = "\n".join(shown("worker_image"))
    assert text.startswith("convert.dataflow.worker_container_image\n")
    assert "former name   convert.dataflow.worker_image" in text


def test_a_search_finds_words_and_says_if_nothing_is_found() -> None:
    assert [line.split()[0] for line in shown(search="minutes source")] == ["snapshot.source_wait_minutes"]
    assert len(shown("train", "accuracy")) < len(shown(search="accuracy"))
    with pytest.raises(UsageError, match="no setting contains 'cake'; search for another word"):
        shown(search="cake")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown setting bakbone: did you mean train\.backbone\?"):
        shown("bakbone")


def test_the_pages_exist() -> None:
    for cls in FILE_SECTIONS.values():
        assert (DOCS.parent / cls.page).is_file()
