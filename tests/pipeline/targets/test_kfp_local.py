import io
import json

import pytest
from rich.console import Console

from petalflow.storage import building
from pipeline.display import Display
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, RunFile
from pipeline.targets import kfp_local
from pipeline.targets.target import Failure


@pytest.fixture
def run(tmp_path) -> RunFile:
    return RunFile.begin(tmp_path, {"name": "x"}, ("snapshot", "convert", "train"))


@pytest.fixture
def follower(run, tmp_path) -> kfp_local.Follower:
    return kfp_local.Follower(run, Display(run, Console(file=io.StringIO())), tmp_path / "run.log")


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
    assert str(follower.failure()) == "convert: no photo"
    assert str(Failure("train", ("Traceback ...", "MemoryError"), "run.log")).endswith("Traceback ...\nMemoryError")


def test_everything_is_logged(follower, tmp_path) -> None:
    follower.write("one\ntwo\n")
    follower.close()
    assert (tmp_path / "run.log").read_text() == "one\ntwo\n"


def test_a_success_after_an_error_line_is_a_failure(follower, run) -> None:
    # A container that removed itself before kfp asked how it ended passes for a success.
    follower.write("Executing task 'convert'\n    petalflow: convert: error: no photo\n")
    follower.write("Task 'convert' finished with status SUCCESS\n")
    assert run.step("convert").state == FAILED
    assert follower.failure().step == "convert"


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
    kfp_local._forget_incomplete(cache)
    assert [path.name for path in cache.iterdir()] == ["whole.json"]
