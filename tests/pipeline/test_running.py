from pathlib import Path

import pytest

from petalflow.errors import UsageError
from petalflow.run.steps import STEPS
from pipeline import running
from pipeline.configuration import Configuration
from pipeline.request import Request
from pipeline.run_file import RAN, RunFile
from pipeline.targets.local.target import Local


@pytest.fixture
def target() -> Local:
    return Local()


@pytest.fixture
def request_(make_flowers, tmp_path) -> Request:
    configuration = Configuration.of({"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}})
    return Request.of(str(make_flowers(tmp_path / "photos", each=1)), str(tmp_path / "models"), "digits", configuration)


def test_a_folder_is_used_by_one_run_at_a_time(tmp_path) -> None:
    with running.locked(tmp_path / "out"):
        with pytest.raises(UsageError, match="another run is using"), running.locked(tmp_path / "out"):
            pass
        with running.locked(tmp_path / "other"):
            pass
    with running.locked(tmp_path / "out"):
        pass


def test_the_folder_of_a_run_must_be_on_this_machine(request_, target) -> None:
    with pytest.raises(UsageError, match="must be a folder on this machine"):
        running.run(target, request_, Path("gs://bucket/out").absolute())


def test_the_folder_of_a_run_must_be_outside_the_registry(request_, target) -> None:
    inside = Path(request_.registry) / "digits"
    with pytest.raises(UsageError, match="is inside the registry"):
        running.run(target, request_, inside)
    assert not inside.exists()


def test_a_local_run_without_a_record_has_failed(request_, target, tmp_path) -> None:
    # As kfp shows one whose container was gone before it could be asked how it ended.
    run_file = RunFile.begin(tmp_path, {"name": "x"}, STEPS)
    run_file.note("snapshot", RAN, 1)
    running.conclude(target, request_, run_file, None)
    assert run_file.outcome == "failed"
    assert "left neither a verdict nor an error" in run_file.results["error"]
