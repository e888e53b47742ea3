from pathlib import Path

import pytest

from petalflow.errors import UsageError
from petalflow.run import execution, record
from petalflow.run.steps import STEPS
from pipeline import running
from pipeline.configuration import Configuration
from pipeline.request import Request
from pipeline.run_file import RAN, RunFile
from pipeline.settings import KubeflowSettings
from pipeline.targets.kubeflow.target import Kubeflow
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
    assert "ended without recording a verdict or an error" in run_file.results["error"]


@pytest.mark.parametrize("nothing_new", [True, False])
def test_a_run_whose_steps_the_cluster_does_not_list_ends_as_recorded(request_, tmp_path, nothing_new) -> None:
    # As an API server may that is upgraded during the run: later versions list tasks only on request
    # (backend/src/apiserver/server/run_server_view_test.go in kubeflow/pipelines).
    run_file = RunFile.begin(tmp_path, {"name": "x"}, STEPS, "kubeflow")
    run, state = run_file.run_id, f"{tmp_path}/state"
    record.begin(request_.record_uri, run, source="/photos", trigger="by hand", code_version="c1")
    steps = ["snapshot"] if nothing_new else ["snapshot", "validate", "evaluate"]
    for step in steps:
        with execution.tracked(step, state, run):
            pass
    record.write(request_.record_uri, run, record.SNAPSHOT, {"nothing_new": nothing_new, "skipped": ""})
    if not nothing_new:
        verdict = {"accepted": False, "checks": [], "candidate": {"accuracy": 0.75}, "test_images": 40}
        record.write(request_.record_uri, run, record.VERDICT, verdict)
        record.write_report(request_.record_uri, run, b"<html>report</html>")
        record.write_dataset_page(request_.record_uri, run, b"<html>dataset</html>")
    record.end(request_.record_uri, run, state, succeeded=True)
    running.conclude(Kubeflow(KubeflowSettings()), request_, run_file, None)
    assert run_file.outcome == (record.NOTHING_NEW if nothing_new else record.REFUSED)
    assert ("report" in run_file.results) is not nothing_new
    assert (tmp_path / "dataset.html").exists() is not nothing_new
    if not nothing_new:
        wilson = {"value": 0.75, "lower": pytest.approx(0.598, abs=1e-3), "upper": pytest.approx(0.858, abs=1e-3)}
        assert run_file.results["accuracy"] == {**wilson, "test_images": 40}
    assert [step.name for step in run_file.steps if step.state == RAN] == steps


def test_the_next_commands_are_those_that_can_be_typed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_file = RunFile.begin(tmp_path / "runs" / "my flowers", {"name": "flowers"}, STEPS)
    assert list(running.next_lines(run_file)) == []
    run_file.results["report"] = "any"
    assert list(running.next_lines(run_file)) == ["next:", "  petalflow report 'runs/my flowers' --open"]
    run_file.results["release"] = str(tmp_path / "models" / "flowers" / "4")
    assert list(running.next_lines(run_file))[1] == "  petalflow predict models/flowers PHOTO.jpg"
    run_file.results["release"] = "gs://bucket/models/flowers/4"
    assert list(running.next_lines(run_file))[1] == "  petalflow predict gs://bucket/models/flowers PHOTO.jpg"
