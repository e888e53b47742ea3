"""Runs are logged to a folder and read back with MLflow's own client; servers are simulated over HTTP."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from components.notify.mlflow_run import collect, log_to_mlflow
from components.notify.settings import NotifySettings
from petalflow.run import record
from tests.conftest import RunPython
from tests.servers.process import free_port
from tests.servers.proxy import Answer, proxy

SETTINGS = {
    "train": {"backbone": "auto", "image_size_px": 64, "augment": {"flip": "none"}, "classes": ["a", "b"]},
    "evaluate": {"min_accuracy": None, "judge_by": "bound"},
}
MEASURED: dict[str, Any] = {
    "proportions": {"accuracy": {"value": 0.8, "low": 0.7, "high": 0.9, "successes": 80, "trials": 100}},
    "figures": {"log_loss": {"value": 0.5, "low": None, "high": None}, "roc_auc": {"value": None}},
    "recalls": {
        "R&D/ü": {"value": 0.75, "low": 0.6, "high": 0.85},
        "R_D_ü": {"value": 0.5, "low": 0.4, "high": 0.6},
        "none": {"value": None, "low": None, "high": None},
    },
    "epochs": {"loss": [1.5, None, 0.5], "phase": ["head", "head", "fine-tuning"]},
    "settings": SETTINGS,
}


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NotifySettings:
    """Settings with a folder to log to, which needs no further package; MLflow only allows it with a variable."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return NotifySettings.of({"mlflow": f"file://{tmp_path}/mlruns"})


@pytest.fixture
def logged_lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[int, str]]]:
    """A function that returns the lines of level INFO and above in the step's log, of libraries too."""
    caplog.set_level(logging.INFO)
    return lambda: [(line.levelno, line.getMessage()) for line in caplog.records if line.levelno >= logging.INFO]


def write_record(folder: Path, *, accepted: bool = False, measured: dict[str, Any] | None = MEASURED) -> str:
    """Writes the record of run-1 and, if it was accepted, the model card of its release."""
    records = str(folder / "records")
    record.begin(records, "run-1", source="/photos", trigger="by hand", code_version="c1")
    snapshot = {"images": 500, "source": "/photos", "why": ["code changed"], "nothing_new": False, "skipped": ""}
    record.write(records, "run-1", record.SNAPSHOT, snapshot)
    candidate = {"accuracy": 0.8, "backbone": "mobilenet_v2"}
    verdict = {"accepted": accepted, "candidate": candidate, "baseline": {"version": 2}, "test_images": 100}
    record.write(records, "run-1", record.VERDICT, {**verdict, "checks": [], "class_names": ["a", "b"]})
    record.write_report(records, "run-1", b"<p>report</p>")
    if measured is not None:
        record.write(records, "run-1", record.METRICS, measured)
    if accepted:
        release = folder / "models" / "flowers" / "3"
        release.mkdir(parents=True)
        (release / "model_card.md").write_text("# Flowers")
        record.write(records, "run-1", record.RELEASE, {"uri": str(release), "version": 3, "name": "flowers"})
    record.end(records, "run-1", f"{folder}/state", succeeded=True)
    return records


def runs(settings: NotifySettings) -> list[Run]:
    client = MlflowClient(settings.mlflow)
    experiment = client.get_experiment_by_name("flowers")
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def test_settings_metrics_and_addresses_are_logged(tmp_path: Path, tracking: NotifySettings) -> None:
    records = write_record(tmp_path, accepted=True)
    log_to_mlflow(records, "run-1", "flowers", tracking)
    (run,) = runs(tracking)
    assert (run.info.run_name, run.info.status) == ("run-1", "FINISHED")
    assert run.data.params == {
        "train.backbone": "auto", "train.image_size_px": "64", "train.augment.flip": "none",
        "train.classes": '["a", "b"]', "evaluate.min_accuracy": "null", "evaluate.judge_by": "bound",
        "data.images": "500", "data.classes": "2", "data.test_images": "100", "backbone": "mobilenet_v2",
    }  # fmt: skip
    assert run.data.metrics == {
        "accuracy": 0.8, "accuracy_low": 0.7, "accuracy_high": 0.9, "log_loss": 0.5,
        "recall/R_D_ü": 0.75, "recall/R_D_ü_low": 0.6, "recall/R_D_ü_high": 0.85,
        "recall/R_D_ü 2": 0.5, "recall/R_D_ü 2_low": 0.4, "recall/R_D_ü 2_high": 0.6, "train/loss": 0.5,
    }  # fmt: skip
    curve = MlflowClient(tracking.mlflow).get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.5), (3, 0.5)]
    tags = {name.partition(".")[2]: value for name, value in run.data.tags.items() if name.startswith("petalflow.")}
    assert tags == {
        "run_id": "run-1", "outcome": "accepted", "release": "3", "model": f"{tmp_path}/models/flowers/3",
        "compared_with": "2", "report": f"{records}/run-1/report.html", "source": "/photos", "why": "code changed",
        "trigger": "by hand", "code_version": "c1", "complete": "true",
    }  # fmt: skip


def test_report_verdict_metrics_and_model_card_are_uploaded(tmp_path: Path, tracking: NotifySettings) -> None:
    log_to_mlflow(write_record(tmp_path, accepted=True), "run-1", "flowers", tracking)
    (run,) = runs(tracking)
    files = Path(MlflowClient(tracking.mlflow).download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert (files / "report.html").read_text() == "<p>report</p>"
    assert (files / "model_card.md").read_text() == "# Flowers"
    assert json.loads((files / "verdict.json").read_text())["accepted"] is True
    assert json.loads((files / "metrics.json").read_text()) == MEASURED


def test_a_repeated_notify_makes_no_second_run(tmp_path: Path, tracking: NotifySettings) -> None:
    records = write_record(tmp_path)
    log_to_mlflow(records, "run-1", "flowers", tracking)
    first = record.read(records, "run-1", record.MLFLOW)
    record.end(records, "run-1", f"{tmp_path}/state", succeeded=True)
    log_to_mlflow(records, "run-1", "flowers", tracking)
    assert [run.info.run_id for run in runs(tracking)] == [(first or {})["mlflow_run_id"]]
    assert record.read(records, "run-1", record.MLFLOW) == first


def test_a_run_that_ended_in_another_way_or_was_logged_in_part_is_replaced(tmp_path: Path, tracking) -> None:
    log_to_mlflow(write_record(tmp_path), "run-1", "flowers", tracking)
    (refused,) = runs(tracking)
    records = write_record(tmp_path, accepted=True)
    log_to_mlflow(records, "run-1", "flowers", tracking)
    (accepted,) = runs(tracking)
    outcomes = [run.data.tags["petalflow.outcome"] for run in (refused, accepted)]
    assert outcomes == ["refused", "accepted"]
    MlflowClient(tracking.mlflow).delete_tag(accepted.info.run_id, "petalflow.complete")
    log_to_mlflow(records, "run-1", "flowers", tracking)
    (complete,) = runs(tracking)
    assert complete.info.run_id != accepted.info.run_id


def test_a_run_without_a_verdict_is_not_logged(tmp_path: Path, tracking, logged_lines) -> None:
    record.begin(str(tmp_path), "run-1", source="/photos", trigger="by hand", code_version="c1")
    record.end(str(tmp_path), "run-1", f"{tmp_path}/state", succeeded=False)
    log_to_mlflow(str(tmp_path), "run-1", "flowers", tracking)
    assert logged_lines() == [(logging.INFO, "not logged to MLflow, since no candidate was judged")]
    assert runs(tracking) == []


def test_records_of_older_versions_have_the_accuracy_of_the_verdict(tmp_path: Path) -> None:
    facts = collect(write_record(tmp_path, measured=None), "run-1")
    assert facts is not None
    assert facts.metrics == {"accuracy": 0.8}


def test_a_run_that_failed_after_its_verdict_is_logged_as_failed(tmp_path: Path, tracking: NotifySettings) -> None:
    records = write_record(tmp_path)
    record.end(records, "run-1", f"{tmp_path}/state", succeeded=False)
    log_to_mlflow(records, "run-1", "flowers", tracking)
    assert runs(tracking)[0].info.status == "FAILED"


def test_nothing_is_logged_without_the_setting(tmp_path: Path, monkeypatch, logged_lines) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    log_to_mlflow(write_record(tmp_path), "run-1", "flowers", NotifySettings())
    assert logged_lines() == []


def test_a_server_that_cannot_be_reached_is_one_warning(tmp_path: Path, logged_lines) -> None:
    server = f"http://127.0.0.1:{free_port()}"
    records = write_record(tmp_path)
    log_to_mlflow(records, "run-1", "flowers", NotifySettings.of({"mlflow": server, "attempts": 1, "timeout_s": 2}))
    ((level, line),) = logged_lines()
    assert level == logging.WARNING
    assert line.startswith(f"cannot log the run to MLflow at {server}: it cannot be reached, or")
    assert record.read(records, "run-1", record.MLFLOW) is None


@pytest.mark.parametrize(("user", "sent"), [(None, "Bearer s3cr3t"), ("anna", "Basic YW5uYTpzM2NyM3Q=")])
def test_the_password_or_token_is_sent_and_never_shown(
    user: str | None, sent: str, tmp_path: Path, monkeypatch, logged_lines
) -> None:
    monkeypatch.setenv("TRACKING", "s3cr3t")
    with proxy(answer=lambda request: Answer(401, b"no")) as server:
        login = {"mlflow": server.url, "mlflow_user": user, "mlflow_password": "env:TRACKING", "attempts": 1}
        log_to_mlflow(write_record(tmp_path), "run-1", "flowers", NotifySettings.of(login))
    assert {request.headers["authorization"] for request in server.requests} == {sent}
    ((level, line),) = logged_lines()
    assert level == logging.WARNING
    assert "401" in line
    assert "s3cr3t" not in line


def test_the_page_of_a_run_on_a_server_is_recorded(tmp_path: Path) -> None:
    def answer(request: Any) -> Answer:
        if request.path.startswith("/t/api/2.0/mlflow/experiments/get-by-name"):
            experiment = {"experiment_id": "7", "name": "flowers", "lifecycle_stage": "active"}
            return Answer(200, json.dumps({"experiment": experiment}).encode())
        tags = {**facts.tags, "petalflow.complete": "true"}
        run = {
            "info": {"run_id": "abc", "experiment_id": "7", "status": "FINISHED", "lifecycle_stage": "active"},
            "data": {"tags": [{"key": name, "value": value} for name, value in tags.items()]},
        }
        return Answer(200, json.dumps({"runs": [run]}).encode())

    records = write_record(tmp_path)
    facts = collect(records, "run-1")
    assert facts is not None
    with proxy(answer=answer) as server:
        log_to_mlflow(records, "run-1", "flowers", NotifySettings.of({"mlflow": f"{server.url}/t/"}))
    url = f"{server.url}/t/#/experiments/7/runs/abc"
    assert record.read(records, "run-1", record.MLFLOW) == {"mlflow_run_id": "abc", "url": url}


def test_without_the_package_one_warning_names_the_extra(tmp_path: Path, run_python: RunPython) -> None:
    done = run_python(
        """
        import logging, sys
        sys.modules["mlflow"] = None  # as if it were not installed
        from components.notify.mlflow_run import log_to_mlflow
        from components.notify.settings import NotifySettings
        logging.basicConfig(stream=sys.stdout)
        log_to_mlflow(sys.argv[1], "run-1", "flowers", NotifySettings.of({"mlflow": "http://mlflow.example.com"}))
        """,
        write_record(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.endswith("MLflow is not installed where the steps run: pip install '.[mlflow]' in the checkout")
