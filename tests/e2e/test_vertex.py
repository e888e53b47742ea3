"""The command against a fake Vertex AI: output and exit codes."""

import signal

import grpc

from tests.e2e.command import petalflow, start
from tests.servers.vertex import Fault, Play


def test_an_accepted_run(cloud) -> None:
    ended = cloud.run()
    assert ended.code == 0, ended.errors
    assert "https://console.cloud.google.com/vertex-ai/" in ended.output
    assert f"release: {cloud.bucket}/models/flowers/1" in ended.output
    assert (cloud.out / "report.html").read_bytes() == b"<html>report</html>"
    assert {step["state"] for step in cloud.file()["steps"]} == {"ran"}


def test_after_a_refusal_the_same_command_starts_a_new_run(cloud) -> None:
    cloud.service.play = Play(outcome="refused")
    ended = cloud.run()
    assert ended.code == 3
    assert "failed: min_accuracy" in ended.output
    first = cloud.file()["job"]
    assert cloud.run().code == 3
    assert cloud.file()["job"] != first, "a finished run is not resumed"


def test_nothing_new(cloud) -> None:
    cloud.service.play = Play(outcome="nothing new")
    assert cloud.run().code == 0
    assert cloud.file()["outcome"] == "nothing new"


def test_a_failed_step_is_reported_with_its_cause(cloud) -> None:
    line = "petalflow: train: error: the weights do not fit"
    cloud.service.play = Play(fails="train", error="exited with a non-zero status of 1", log=("epoch 1", line))
    ended = cloud.run()
    assert ended.code == 1
    cause, log = ended.errors.splitlines()
    assert cause == "petalflow: error: train: the weights do not fit"
    assert log.startswith("log: https://console.cloud.google.com/logs/query")


def test_the_same_command_follows_a_detached_run(cloud) -> None:
    left = cloud.run("--detach")
    assert left.code == 0
    job = cloud.file()["job"]
    assert list(cloud.service.jobs) == [job]
    assert cloud.file()["outcome"] is None
    followed = cloud.run()
    assert followed.code == 0, followed.errors
    assert "resuming" in followed.output
    assert list(cloud.service.jobs) == [job]


def test_a_job_whose_name_was_not_saved_is_found_again(cloud) -> None:
    cloud.service.faults = {"CreatePipelineJob": Fault(grpc.StatusCode.INTERNAL, "the answer is lost", done=True)}
    lost = cloud.run()
    assert lost.code == 1
    assert "no answer (the answer is lost)" in lost.errors
    assert cloud.file()["job"] == ""
    assert cloud.run().code == 0
    assert list(cloud.service.jobs) == [cloud.file()["job"]]


def test_ctrl_c_does_not_stop_the_run(cloud) -> None:
    cloud.service.play = Play(stops_at="train")
    with start(*cloud.command) as left:
        while "train ..." not in left.stdout.readline():
            assert left.poll() is None
        left.send_signal(signal.SIGINT)
        _, errors = left.communicate()
    assert left.returncode == 130
    (line,) = errors.strip().splitlines()
    assert "the run continues (https://console.cloud.google.com/" in line
    assert cloud.service.job.state.name == "PIPELINE_STATE_RUNNING"


def test_doctor_and_a_run_report_missing_credentials_alike(cloud, monkeypatch, tmp_path) -> None:
    assert petalflow("doctor", "vertex", *cloud.settings).code == 0
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    remedy = "no Google credentials were found; run `gcloud auth application-default login`"
    looked = petalflow("doctor", "vertex", *cloud.settings)
    assert looked.code == 2
    assert remedy in looked.output
    ended = cloud.run()
    assert ended.code == 2
    assert ended.errors.startswith(f"petalflow: error: {remedy}")
    assert not cloud.out.exists()
