import json

import pytest

from petalflow.errors import UsageError
from pipeline.run_file import RAN, RunFile, as_objects

PARAMETERS = {"name": "flowers", "source": "/photos"}
STEPS = ("snapshot", "convert")


def test_the_id_is_stored_before_work_starts(tmp_path) -> None:
    run = RunFile.begin(tmp_path, PARAMETERS, STEPS)
    assert json.loads((tmp_path / "run.json").read_text())["run_id"] == run.run_id
    assert run.run_id.startswith("flowers-")
    assert not run.resumed


def test_an_unfinished_run_is_resumed(tmp_path) -> None:
    first = RunFile.begin(tmp_path, PARAMETERS, STEPS)
    first.step("snapshot").state = RAN
    first.write()
    second = RunFile.begin(tmp_path, PARAMETERS, STEPS)
    assert second.resumed
    assert (second.run_id, second.started_at) == (first.run_id, first.started_at)


@pytest.mark.parametrize("outcome", ["accepted", "refused", "failed"])
def test_a_finished_run_is_followed_by_a_new_one(tmp_path, outcome: str) -> None:
    first = RunFile.begin(tmp_path, PARAMETERS, STEPS)
    first.outcome = outcome
    first.write()
    assert RunFile.begin(tmp_path, PARAMETERS, STEPS).run_id != first.run_id


def test_other_parameters_start_another_run(tmp_path) -> None:
    first = RunFile.begin(tmp_path, PARAMETERS, STEPS)
    assert RunFile.begin(tmp_path, {**PARAMETERS, "source": "/others"}, STEPS).run_id != first.run_id


SETTINGS = {**PARAMETERS, "train_config": '{"backbone":"cnn","dropout":0.2}'}


def test_settings_are_stored_as_objects(tmp_path) -> None:
    run = RunFile.begin(tmp_path, SETTINGS, STEPS)
    assert json.loads((tmp_path / "run.json").read_text())["parameters"] == {
        **PARAMETERS,
        "train_config": {"backbone": "cnn", "dropout": 0.2},
    }
    assert run.arguments()["train_config"] == SETTINGS["train_config"], "a pipeline takes text"


@pytest.mark.parametrize("stored", [SETTINGS, as_objects(SETTINGS)], ids=["of an earlier version", "of this version"])
def test_a_run_is_resumed_only_with_the_same_settings(tmp_path, stored: dict) -> None:
    first = RunFile.begin(tmp_path, SETTINGS, STEPS)
    values = {**json.loads((tmp_path / "run.json").read_text()), "parameters": stored}
    (tmp_path / "run.json").write_text(json.dumps(values))
    assert RunFile.begin(tmp_path, SETTINGS, STEPS).run_id == first.run_id
    other = {**SETTINGS, "train_config": '{"backbone":"cnn","dropout":0.3}'}
    assert RunFile.begin(tmp_path, other, STEPS).run_id != first.run_id


@pytest.mark.parametrize("text", ["notes", "{}", "[1]"])
def test_a_file_that_is_not_a_run_file_is_not_overwritten(tmp_path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match="not a valid run file"):
        RunFile.begin(tmp_path, PARAMETERS, STEPS)
    assert (tmp_path / "run.json").read_text() == text
