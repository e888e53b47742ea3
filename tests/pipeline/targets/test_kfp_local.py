import io
import json

import pytest
from kfp import compiler, dsl, local
from rich.console import Console

from pipeline.display import Display
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, WAITING, RunFile
from pipeline.target import Failure
from pipeline.targets import kfp_local


@pytest.fixture
def run(tmp_path) -> RunFile:
    return RunFile.begin(tmp_path, {"name": "x"}, ("snapshot", "convert", "train"))


@pytest.fixture
def follower(run, tmp_path) -> kfp_local.Follower:
    return kfp_local.Follower(run, Display(run, Console(file=io.StringIO())), tmp_path / "run.log")


def test_the_output_of_kfp_becomes_states(follower, run) -> None:
    # In pieces and with colours, as kfp prints it.
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


def test_a_failed_step_is_explained_by_its_error_line_or_its_last_lines(follower) -> None:
    follower.write("Executing task 'convert'\n    convert: 1/2 images\n    petalflow: convert: error: no photo\n")
    follower.write("Task 'convert' finished with status FAILURE\n")
    assert str(follower.failure()) == "convert: no photo"
    assert str(Failure("train", ("Traceback ...", "MemoryError"), "run.log")).endswith("Traceback ...\nMemoryError")


def test_everything_is_logged(follower, tmp_path) -> None:
    follower.write("one\ntwo\n")
    follower.close()
    assert (tmp_path / "run.log").read_text() == "one\ntwo\n"


def test_a_success_after_an_error_line_is_a_failure(follower, run) -> None:
    # A container that removed itself before kfp asked how it ended counts as a success.
    follower.write("Executing task 'convert'\n    petalflow: convert: error: no photo\n")
    follower.write("Task 'convert' finished with status SUCCESS\n")
    assert run.step("convert").state == FAILED
    assert follower.failure().step == "convert"


def test_cache_hits_are_recognized(follower) -> None:
    follower.write("Task convert cache hit (key=123456789abc); skipping execution.\n")
    follower.write("Task train cache hit (key=cba987654321); skipping execution.\n")
    assert follower.cache_hits == ["123456789abc", "cba987654321"]


def test_the_log_starts_again_unless_the_run_is_resumed(follower, run, tmp_path) -> None:
    follower.write("first\n")
    follower.close()
    resumed = RunFile.begin(tmp_path, {"name": "x"}, ("snapshot", "convert", "train"))
    display = Display(resumed, Console(file=io.StringIO()))
    goes_on = kfp_local.Follower(resumed, display, tmp_path / "run.log")
    goes_on.write("second\n")
    goes_on.close()
    assert (tmp_path / "run.log").read_text() == "first\nsecond\n"
    resumed.outcome = "accepted"
    resumed.write()
    another = RunFile.begin(tmp_path, {"name": "x"}, ("snapshot", "convert", "train"))
    kfp_local.Follower(another, display, tmp_path / "run.log").close()
    assert (tmp_path / "run.log").read_text() == ""


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def snapshot(source: str) -> str:
    """Returns the source to convert."""
    return source


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def convert(source: str, dataset: dsl.Output[dsl.Dataset]) -> None:
    """Makes a complete dataset."""
    from petalflow.storage import building

    with building(dataset.path) as folder:
        (folder / "shard").write_text(source)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def evaluate(dataset: dsl.Input[dsl.Dataset]) -> str:
    """Returns the contents of the dataset."""
    from pathlib import Path

    return (Path(dataset.path) / "shard").read_text()


@dsl.pipeline(name="petalflow")
def three_steps(name: str, registry: str, keep_config: str, source: str, run_id: str, trigger: str) -> None:
    """Converts a source if there is any."""
    seen = snapshot(source=source).set_caching_options(False)
    with dsl.If(seen.output != ""):
        evaluate(dataset=convert(source=seen.output).outputs["dataset"]).set_caching_options(False)


def test_old_work_is_removed_after_a_run_and_used_cache_entries_are_kept(tmp_path) -> None:
    compiler.Compiler().compile(three_steps, str(tmp_path / "three.yaml"))
    out = tmp_path / "out"

    def run_with(source: str) -> tuple[str, set[str]]:
        keep = {"name": "x", "registry": str(tmp_path / "models"), "keep_config": '{"work": 1}'}
        run = RunFile.begin(out, {**keep, "source": source}, ("snapshot", "convert", "evaluate"))
        display = Display(run, Console(file=io.StringIO()))
        assert not kfp_local.execute(local.SubprocessRunner(use_venv=False), tmp_path / "three.yaml", out, run, display)
        run.outcome = "accepted"
        run.write()
        kept = {shard.read_text() for shard in out.glob("steps/*/convert/dataset/shard")}
        return run.step("convert").state, kept

    assert run_with("daisies") == (RAN, {"daisies"})
    assert run_with("roses") == (RAN, {"roses"})
    assert run_with("") == (WAITING, {"roses"})
    assert run_with("") == (WAITING, {"roses"})
    assert run_with("roses") == (CACHED, {"roses"})
    assert len(list((out / ".cache").iterdir())) == 1
    assert len(list((out / "steps").iterdir())) == 3, "what made the roses, what used them, and one that did nothing"
