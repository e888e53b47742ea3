from pathlib import Path

import pytest
import typer

from petalflow import commandline
from petalflow.errors import InvalidSettings, PetalflowError, UnusableOutput, UsageError

app = commandline.new_app("Bake things.")


@app.command()
def bake(how: str, debug: commandline.Debug = False) -> None:
    """Bake."""
    raise {
        "failed": PetalflowError("the oven is cold; heat it"),
        "usage": UsageError("no such cake"),
        "settings": InvalidSettings(["bake.heat=999: too hot", "unknown setting bake.glase"]),
        "output": UnusableOutput("/cakes is not empty; remove it, or choose another folder"),
        "defect": ValueError("first line\nsecond line"),
        "silent": ValueError(),
        "interrupted": KeyboardInterrupt(),
        "refused": typer.Exit(3),
        "well": typer.Exit(0),
    }[how]


@app.command()
def serve() -> None:
    """Serve."""


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        commandline.main(app, arguments)
    return caught.value.code


@pytest.mark.parametrize(
    ("how", "code"),
    [("well", 0), ("failed", 1), ("usage", 2), ("refused", 3), ("defect", 1), ("silent", 1), ("interrupted", 130)],
)
def test_every_outcome_has_its_exit_code(how: str, code: int) -> None:
    assert exit_code("bake", how) == code


def test_an_error_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code("bake", "failed")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "petalflow: error: the oven is cold; heat it\n")


def test_several_problems_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("bake", "settings") == 2
    shown = "petalflow: error: bake.heat=999: too hot\npetalflow: error: unknown setting bake.glase\n"
    assert capsys.readouterr().err == shown


def test_a_folder_that_cannot_be_written_is_named_by_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("bake", "output") == 2
    error = "--out /cakes is not empty; remove it, or choose another folder"
    assert capsys.readouterr().err == f"petalflow: error: {error}\n"


def test_a_bug_is_one_line_that_says_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code("bake", "defect")
    assert capsys.readouterr().err == "petalflow: error: ValueError: first line (--debug shows the traceback)\n"


def test_an_interrupted_step_reports_it(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commandline.run_step("convert", interrupted)
    assert capsys.readouterr().err == "petalflow: convert was interrupted and left nothing incomplete; run it again\n"


def test_debug_shows_the_traceback_and_the_next_call_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code("bake", "--debug", "failed")
    assert "Traceback" in capsys.readouterr().err
    exit_code("bake", "failed")
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["brew"], ["bake"], ["bake", "well", "--no-such-option"], []])
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    assert exit_code(*arguments) == 2


def test_help_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--help") == 0
    assert "Bake things." in capsys.readouterr().out


def config(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text)
    return path


def test_a_file_gives_all_sections(tmp_path: Path) -> None:
    path = config(tmp_path, "convert: {threads: 2}\ntrain: {backbone: cnn}\n")
    assert commandline.read_settings(None, path, None) == {"convert": {"threads": 2}, "train": {"backbone": "cnn"}}


def test_a_step_gets_only_its_own_section(tmp_path: Path) -> None:
    path = config(tmp_path, "convert: {threads: 2}\ntrain: {backbone: cnn}\n")
    assert commandline.read_settings("train", path, None) == {"backbone": "cnn"}
    assert commandline.read_settings("export", path, None) == {}


def test_assignments_win_over_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, "convert: {threads: 2, shard_mib: 8}\n")
    found = commandline.read_settings("convert", path, ["convert.threads=4"])
    assert found == {"threads": 4, "shard_mib": 8}


def test_a_steps_name_can_be_omitted() -> None:
    assert commandline.read_settings("convert", None, ["threads=4"]) == {"threads": 4}


@pytest.mark.parametrize("assignment", ["augment.flip=both", "train.augment.flip=both"])
def test_nested_settings_are_set_with_and_without_the_steps_name(assignment: str) -> None:
    found = commandline.read_settings("train", None, [assignment, "augment.variants=3"], groups=["augment"])
    assert found == {"augment": {"flip": "both", "variants": 3}}
    with pytest.raises(UsageError, match=r"export\.litert=false.*is not a setting of train"):
        commandline.read_settings("train", None, ["export.litert=false"], groups=["augment"])


@pytest.mark.parametrize(
    ("value", "meant"),
    [("3", 3), ("0.5", 0.5), ("null", None), ("[1, 2]", [1, 2]), ("a=b", "a=b"), ("", None), ("'3'", "3")],
)
def test_values_are_yaml(value: str, meant: object) -> None:
    assert commandline.read_settings(None, None, [f"train.x={value}"]) == {"train": {"x": meant}}


@pytest.mark.parametrize("value", ["{label}.*", "*_{label}", "[1", "a: b: c"])
def test_a_value_that_is_not_yaml_is_taken_literally(value: str) -> None:
    assert commandline.read_settings(None, None, [f"train.x={value}"]) == {"train": {"x": value}}


@pytest.mark.parametrize("assignment", ["threads", "=4", "convert.=4", ".threads=4", ""])
def test_a_malformed_assignment_is_wrong_usage(assignment: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        commandline.read_settings(None, None, [assignment])


@pytest.mark.parametrize("text", ["- a\n", "1: 3\n", "train\n", "train: [", "train: {a: b", "\x07"])
def test_a_file_without_sections_is_wrong_usage(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"settings\.yaml") as caught:
        commandline.read_settings(None, config(tmp_path, text), None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"train: {note: caf\xe9}"], ids=["binary", "latin-1"])
def test_a_binary_file_is_wrong_usage(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"settings\.yaml"):
        commandline.read_settings(None, path, None)


def test_what_is_set_without_a_section_keeps_its_own_name(tmp_path: Path) -> None:
    path = config(tmp_path, "min_accuracy: 0.7\nconvert: {threads: 2}\n")
    found = commandline.read_settings(None, path, ["seed=3", "convert.threads=4"])
    assert found == {"min_accuracy": 0.7, "seed": 3, "convert": {"threads": 4}}


def test_a_section_of_a_single_step_must_contain_settings(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"settings\.yaml: convert must contain settings"):
        commandline.read_settings("convert", config(tmp_path, "convert: 3\n"), None)


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml: No such file"):
        commandline.read_settings(None, tmp_path / "nowhere.yaml", None)


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    assert commandline.read_settings(None, config(tmp_path, "# nothing yet\n"), None) == {}


def test_a_setting_of_another_step_is_not_ignored() -> None:
    with pytest.raises(UsageError, match=r"convrt\.threads=2.*convert\.SETTING"):
        commandline.read_settings("convert", None, ["convrt.threads=2"])
