"""The command against a fake Kubeflow Pipelines: output and exit codes."""

import shutil
import signal

import pytest

from petalflow.run import record
from tests.e2e.clouds import Cluster
from tests.e2e.command import petalflow, start
from tests.servers.kubeflow import Play


def recorded_outcome(cluster: Cluster) -> str:
    """Returns the outcome that the exit task recorded."""
    ended = record.read(f"{cluster.volume}/models/.records/flowers", cluster.file()["run_id"], record.END)
    return str(ended["outcome"]) if ended else ""


def test_an_accepted_run(cluster) -> None:
    ended = cluster.run()
    assert ended.code == 0, ended.errors
    assert ended.errors == ""
    assert f"{cluster.service.url}/#/runs/details/{cluster.service.run.run_id}" in ended.output
    assert f"release: {cluster.volume}/models/flowers/1" in ended.output
    assert (cluster.out / "report.html").read_bytes() == b"<html>report</html>"
    assert {step["state"] for step in cluster.file()["steps"]} == {"ran"}
    assert recorded_outcome(cluster) == "accepted"


def test_after_a_refusal_the_same_command_starts_a_new_run(cluster) -> None:
    cluster.service.play = Play(outcome="refused")
    ended = cluster.run()
    assert ended.code == 3
    assert "failed: min_accuracy" in ended.output
    assert recorded_outcome(cluster) == "refused"
    assert cluster.run().code == 3
    assert len(cluster.service.runs) == 2, "a finished run is not resumed"
    assert cluster.service.uploads() == 1


def test_nothing_new(cluster) -> None:
    cluster.service.play = Play(outcome="nothing new")
    assert cluster.run().code == 0
    assert cluster.file()["outcome"] == recorded_outcome(cluster) == "nothing new"


def test_a_failed_step_is_reported_with_its_cause(cluster) -> None:
    cluster.service.play = Play(fails="train", log="epoch 1\npetalflow: train: error: the weights do not fit\n")
    ended = cluster.run()
    assert ended.code == 1
    cause, log = ended.errors.splitlines()
    assert cause == "petalflow: error: train: the weights do not fit"
    assert log == f"log: {cluster.file()['link']}"


def test_the_same_command_follows_a_detached_run(cluster) -> None:
    left = cluster.run("--detach")
    assert left.code == 0
    assert cluster.file()["outcome"] is None
    followed = cluster.run()
    assert followed.code == 0, followed.errors
    assert "resuming" in followed.output
    assert list(cluster.service.runs) == [cluster.file()["job"]]


def test_ctrl_c_does_not_stop_the_run(cluster) -> None:
    cluster.service.play = Play(stops_at="train")
    with start(*cluster.command) as left:
        while "train ..." not in left.stdout.readline():
            assert left.poll() is None
        left.send_signal(signal.SIGINT)
        _, errors = left.communicate()
    assert left.returncode == 130
    (line,) = errors.strip().splitlines()
    assert f"the run continues ({cluster.service.url}/#/runs/details/" in line
    assert cluster.service.run.state == "RUNNING"


@pytest.mark.parametrize(("outcome", "code"), [("accepted", 0), ("refused", 3), ("nothing new", 0)])
def test_a_record_that_only_the_cluster_can_read(cluster, outcome, code) -> None:
    shutil.rmtree(cluster.volume)
    cluster.service.play = Play(outcome=outcome, records=False)
    ended = cluster.run()
    assert ended.code == code, ended.errors
    assert f"flowers: {outcome}" in ended.output
    assert "which this machine cannot read" in ended.output
    assert not cluster.volume.exists()


def test_doctor_and_a_run_report_an_unreachable_host_alike(cluster) -> None:
    assert petalflow("doctor", "kubeflow", *cluster.settings).code == 0
    away = ["--set", "kubeflow.host=http://127.0.0.1:9"]
    looked = petalflow("doctor", "kubeflow", *cluster.settings, *away)
    assert looked.code == 2
    assert "http://127.0.0.1:9 does not answer" in looked.output
    ended = cluster.run(*away)
    assert ended.code == 2
    (line,) = ended.errors.strip().splitlines()
    assert line.startswith("petalflow: error: http://127.0.0.1:9 does not answer")
    assert not cluster.out.exists()


def test_an_unrelated_local_folder_is_not_mistaken_for_the_record(cluster) -> None:
    (cluster.volume / "models" / ".records" / "flowers").mkdir(parents=True)
    cluster.service.play = Play(outcome="accepted", records=False)
    ended = cluster.run()
    assert ended.code == 0, ended.errors
    assert "which this machine cannot read" in ended.output


def test_train_settings_are_checked_although_the_volume_is_not_mounted_here(cluster) -> None:
    shutil.rmtree(cluster.volume)
    ended = cluster.run("--set", "train.backbone=MobilNetV2")
    assert ended.code == 2
    assert "did you mean MobileNetV2" in ended.errors
    assert not cluster.service.runs
