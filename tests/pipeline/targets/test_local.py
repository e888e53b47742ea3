import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from petalflow.errors import UsageError
from petalflow.storage import building
from pipeline.display import Display
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, RunFile
from pipeline.targets import local


@pytest.fixture
def run(tmp_path) -> RunFile:
    return RunFile.begin(tmp_path, {"name": "x"}, ("snapshot", "convert", "train"))


@pytest.fixture
def follower(run, tmp_path) -> local._Follower:
    return local._Follower(run, Display(run, Console(file=io.StringIO())), tmp_path / "run.log")


def test_what_kfp_prints_becomes_states(follower, run) -> None:
    # In pieces, coloured, as it comes.
    follower.write("12:00:00.000 - INFO - Executing task \x1b[96m'snap")
    follower.write("shot'\x1b[0m\n")
    assert run.step("snapshot").state == RUNNING
    follower.write("12:00:01.000 - INFO - Task 'snapshot' finished with status \x1b[92mSUCCESS\x1b[0m\n")
    follower.write("Task convert cache hit (key=123456789abc); skipping execution.\n")
    follower.write(
        "12:00:02.000 - INFO - Executing task 'train'\n12:00:03 - ERROR - Task 'train' finished with status FAILURE\n"
    )
    assert [step.state for step in run.steps] == [RAN, CACHED, FAILED]
    assert json.loads(run.path.read_text())["steps"][2]["state"] == FAILED, "written as it happens"


def test_a_failed_step_is_explained_by_its_line_or_else_by_its_last_lines(follower) -> None:
    follower.write("Executing task 'convert'\n    convert: 1/2 images\n    petalflow: convert: error: no photo\n")
    follower.write("Task 'convert' finished with status FAILURE\n")
    assert follower.error("convert") == "convert: no photo"
    follower.write("Executing task 'train'\n    Traceback ...\n    MemoryError\n")
    follower.write("Task 'train' finished with status FAILURE\n")
    assert follower.error("train").endswith("Traceback ...\nMemoryError")


def test_everything_is_logged(follower, tmp_path) -> None:
    follower.write("one\ntwo\n")
    follower.close()
    assert (tmp_path / "run.log").read_text() == "one\ntwo\n"


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path) -> None:
    with local.locked(tmp_path / "out"):
        with pytest.raises(UsageError, match="another run is going on"), local.locked(tmp_path / "out"):
            pass
        with local.locked(tmp_path / "other"):
            pass
    with local.locked(tmp_path / "out"):
        pass


def test_the_environment_of_the_steps_is_theirs_alone(monkeypatch) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with local._environment():
        assert os.environ["PYTHONSAFEPATH"] == "1"
        assert os.environ["PETALFLOW_RUNNER_PID"] == str(os.getpid())
    assert "PYTHONSAFEPATH" not in os.environ
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_cached_results_that_lost_a_file_are_forgotten(tmp_path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for name in ("whole", "broken", "unmarked"):
        with building(tmp_path / name) as folder:
            (folder / "shard").write_text("x")
        (cache / f"{name}.json").write_text(json.dumps({"dataset": {"uri": str(tmp_path / name)}, "Output": "text"}))
    (tmp_path / "broken" / "shard").unlink()
    (tmp_path / "unmarked" / "complete.json").unlink()
    (cache / "torn.json").write_text('{"dataset')
    local._forget_incomplete(cache)
    assert [path.name for path in cache.iterdir()] == ["whole.json"]


def test_writability_is_asked_of_the_nearest_folder_there_is(tmp_path) -> None:
    local._check_writable("--out", str(tmp_path / "a" / "b" / "c"))
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        local._check_writable("--out", str(Path(tmp_path / "file" / "below")))
    local._check_writable("--registry", "memory://models")
    with pytest.raises(UsageError, match="foo://models"):
        local._check_writable("--registry", "foo://models")
