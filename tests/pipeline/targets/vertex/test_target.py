import dataclasses
import io
import json
from collections.abc import Callable

import grpc
import pytest
import yaml
from google.cloud.aiplatform_v1 import GetPipelineJobRequest, PipelineServiceClient, WorkerPoolSpec
from google.oauth2 import service_account
from rich.console import Console

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.run import record
from petalflow.run.steps import STEPS
from pipeline.compile import compile_pipeline
from pipeline.configuration import Configuration
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import RunFile
from pipeline.settings import VertexSettings
from pipeline.target import Failure
from pipeline.targets.vertex.target import Vertex, vertex_job_id
from tests.servers.vertex import LOCATION, PARENT, Fault, Play

Make = Callable[..., Vertex]


@pytest.fixture
def target(vertex) -> Make:
    vertex.google.container_images = {f"petalflow/{kind}:0.1.0" for kind in ("base", "cpu")}
    usual = {
        "location": LOCATION,
        "endpoint": vertex.host,
        "logging_endpoint": vertex.host,
        "container_repository": vertex.google.registry,
        "tag": "0.1.0",
        "poll_s": 0.01,
    }

    def make(**settings: object) -> Vertex:
        return Vertex(VertexSettings.of({**usual, **settings}))

    return make


@pytest.fixture
def asked(gs, make_flowers, tmp_path) -> Request:
    bucket = gs.new_bucket()
    settings = {"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}}
    return Request.of(f"{bucket}/photos", f"{bucket}/models", "flowers", Configuration.of(settings))


@pytest.fixture
def run(asked, tmp_path) -> RunFile:
    return RunFile.begin(tmp_path, asked.parameters("c0de"), STEPS, "vertex")


def follow(target: Vertex, asked: Request, run: RunFile) -> tuple[Failure | None, str]:
    output = io.StringIO()
    failure = target.follow(asked, run, Display(run, Console(file=output, width=200)))
    return failure, output.getvalue()


def states(run: RunFile) -> dict[str, str]:
    return {step.name: step.state for step in run.steps}


def test_a_run_is_created_and_followed_to_its_end(vertex, target, asked, run) -> None:
    vertex.play = Play(cached=("convert",))
    target().submit(asked, run)
    assert run.job == f"{PARENT}/pipelineJobs/{vertex_job_id(run.run_id)}"
    assert run.link.startswith(
        "https://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines/runs/petalf"
    )
    assert vertex.job.runtime_config.gcs_output_directory == f"{asked.registry}/.pipeline"
    failure, output = follow(target(), asked, run)
    assert failure is None
    ended = record.read(asked.record_uri, run.run_id, record.END)
    assert ended is not None
    assert ended["outcome"] == record.ACCEPTED
    assert states(run) == dict.fromkeys(STEPS, "ran") | {"convert": "cached"}
    assert "train ..." in output
    assert record.outcome(asked.record_uri, run.run_id, succeeded=True) == record.ACCEPTED


@pytest.mark.parametrize("outcome", [record.REFUSED, record.NOTHING_NEW])
def test_a_run_that_releases_nothing_is_not_a_failure(vertex, target, asked, run, outcome) -> None:
    vertex.play = Play(outcome=outcome)
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert failure is None
    ended = record.read(asked.record_uri, run.run_id, record.END)
    assert ended is not None
    assert ended["outcome"] == outcome
    assert (states(run)["train"], states(run)["release"]) == (
        "waiting" if outcome == record.NOTHING_NEW else "ran",
        "waiting",
    )


def test_all_settings_reach_the_job(vertex, target, asked, run) -> None:
    settings = {
        "service_account": "steps@flowers-prod.iam.gserviceaccount.com",
        "network": "projects/12/global/networks/private",
        "labels": {"team": "botany"},
        "kms_key": "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k",
        "pipeline_root": "gs://elsewhere/root",
        "machines": {"train": {"cpu": 8, "memory_gb": 32, "accelerator": "NVIDIA_L4", "accelerators": 2}},
        "caching": False,
    }
    target(**settings).submit(asked, run)
    job = vertex.job
    assert (job.service_account, job.network) == (settings["service_account"], settings["network"])
    assert (dict(job.labels), job.encryption_spec.kms_key_name) == (settings["labels"], settings["kms_key"])
    assert job.runtime_config.gcs_output_directory == "gs://elsewhere/root"
    train = vertex.spec["deploymentSpec"]["executors"]["exec-train"]["container"]
    assert train["image"].endswith("/gpu:0.1.0")
    assert train["resources"]["accelerator"] == {
        "type": "NVIDIA_L4", "count": "2", "resourceType": "NVIDIA_L4", "resourceCount": "2"
    }  # fmt: skip
    assert (train["resources"]["cpuLimit"], train["resources"]["memoryLimit"]) == (8, 32)
    assert "enableCache" not in str(vertex.spec)


def test_the_same_run_is_one_job_even_if_submitted_twice(vertex, target, asked, run) -> None:
    target().submit(asked, run)
    job, run.job = run.job, ""  # the command was killed before it noted the job
    target().submit(asked, run)
    assert run.job == job
    assert list(vertex.jobs) == [job]


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done, and the answer lost"])
def test_an_unavailable_service_is_polled_again(vertex, target, asked, run, done) -> None:
    vertex.faults = {
        "CreatePipelineJob": Fault(grpc.StatusCode.UNAVAILABLE, done=done),
        "GetPipelineJob": Fault(grpc.StatusCode.UNAVAILABLE, times=2),
    }
    target().submit(asked, run)
    failure, output = follow(target(), asked, run)
    assert failure is None
    assert len(vertex.jobs) == 1
    assert output.count("no answer (the service is tired); retrying") == 2


def test_a_response_that_is_lost_after_the_last_one_changes_nothing(vertex, target, asked, run) -> None:
    vertex.play = Play(outcome=record.NOTHING_NEW)
    target().submit(asked, run)
    polls = 0
    while vertex.get(GetPipelineJobRequest(name=run.job)).state.name != "PIPELINE_STATE_SUCCEEDED":
        polls += 1
    assert polls < 10
    vertex.faults = {"GetPipelineJob": Fault(grpc.StatusCode.UNAVAILABLE, after=1, times=9)}
    failure, _ = follow(target(), asked, run)
    assert failure is None


@pytest.mark.parametrize(
    "code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "ABORTED", "RESOURCE_EXHAUSTED"]
)
def test_passing_errors_of_the_api_do_not_end_the_following(vertex, target, asked, run, code) -> None:
    vertex.play = Play(outcome=record.NOTHING_NEW)
    target().submit(asked, run)
    vertex.faults = {"GetPipelineJob": Fault(grpc.StatusCode[code], after=1, times=2)}
    failure, output = follow(target(), asked, run)
    assert failure is None
    assert output.count("(the service is tired); retrying") == 2


def test_an_error_that_ends_the_following_says_that_the_run_continues(vertex, target, asked, run) -> None:
    target().submit(asked, run)
    vertex.faults = {"GetPipelineJob": Fault(grpc.StatusCode.UNAUTHENTICATED, "the token has expired", after=2)}
    with pytest.raises(UsageError) as raised:
        follow(target(), asked, run)
    assert "gcloud auth application-default login" in str(raised.value)
    assert str(raised.value).endswith(f"the run continues ({run.link}); the same command follows it again")


def test_an_error_that_the_service_retries_is_shown_once(vertex, target, asked, run) -> None:
    busy = "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_cpus"
    vertex.play = Play(stops_at="snapshot", system_error=busy)
    target().submit(asked, run)
    vertex.faults = {"GetPipelineJob": Fault(grpc.StatusCode.UNAUTHENTICATED, after=8)}
    output = io.StringIO()
    with pytest.raises(UsageError):
        target().follow(asked, run, Display(run, Console(file=output, width=200)))
    assert output.getvalue().count(f"snapshot: {busy}; Vertex AI tries again") == 1


def test_a_job_that_does_not_start_is_reported_after_a_while(vertex, target, asked, run) -> None:
    vertex.play = Play(waits_s=601)
    target().submit(asked, run)
    vertex.faults = {"GetPipelineJob": Fault(grpc.StatusCode.UNAUTHENTICATED, after=3)}
    output = io.StringIO()
    with pytest.raises(UsageError):
        target().follow(asked, run, Display(run, Console(file=output, width=200)))
    assert (
        output.getvalue().count(f"no step has run for 10 minutes (no quota, or no free machine?); see {run.link}") == 1
    )


def test_what_a_step_recorded_is_reported_although_its_log_is_lost(vertex, target, asked, run) -> None:
    vertex.play = Play(fails="train", error="exited with a non-zero status of 1", recorded="no GPU is there")
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert str(failure) == "train: no GPU is there"
    assert failure.log.startswith("https://console.cloud.google.com/logs/query;query=")
    assert "ListLogEntries" not in vertex.calls


def test_an_empty_log_is_reported_with_the_role_that_is_probably_missing(vertex, target, asked, run) -> None:
    vertex.play = Play(fails="train", error="exited with a non-zero status of 1", ended_s_ago=61)
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert str(failure).startswith("train: exited with a non-zero status of 1; its log is empty;")
    assert "roles/logging.logWriter" in str(failure)
    assert vertex.calls.count("ListLogEntries") == 1


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("Replicas low on memory: workerpool0. Specify a machine with larger memory", "vertex.machines={train: {mem"),
        ("The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137", "memory_gb"),
        ("The following quota metrics exceed quota limits: aiplatform.googleapis.com/x", "IAM & Admin > Quotas"),
        ("Resources are insufficient in region: europe-west4. Try a different region", "Try a different region"),
        ("Internal error occurred for the current attempt", "Internal error"),
    ],
)
def test_what_the_service_explains_is_not_guessed_at(vertex, target, asked, run, message, remedy) -> None:
    vertex.play = Play(fails="train", error=message, log=("train: epoch 1", "train: epoch 2"))
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert str(failure).startswith(f"train: {message}")
    assert remedy in str(failure)
    assert "killed?" not in str(failure)


def test_the_log_of_the_last_attempt_is_read(vertex, target, asked, run) -> None:
    vertex.play = Play(fails="train", error="exited with a non-zero status of 1", log=("the last attempt",), attempts=3)
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert failure.lines == ("the last attempt", "exited with a non-zero status of 1")


def test_a_failed_step_is_reported_with_its_error_line(vertex, target, asked, run) -> None:
    log = ("train: epoch 1", "petalflow: train: error: the backbone does not fit the images", "exit 2")
    vertex.play = Play(fails="train", error="The replica workerpool0-0 exited with a non-zero status of 2.", log=log)
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert str(failure) == "train: the backbone does not fit the images"
    assert failure.lines == (*log, "The replica workerpool0-0 exited with a non-zero status of 2.")
    assert failure.log.startswith("https://console.cloud.google.com/logs/query;query=resource.type%3D%22ml_job%22")
    assert states(run)["train"] == "failed"
    assert states(run)["notify"] == "ran"


def test_the_log_of_a_custom_job_that_the_step_started_is_read(vertex, target, asked, run) -> None:
    log = ("petalflow: train: error: no TPU is there",)
    vertex.play = Play(fails="train", error="The custom job failed", log=log, in_custom_job=True)
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert str(failure) == "train: no TPU is there"


def test_without_access_to_the_log_the_services_message_is_reported(vertex, target, asked, run) -> None:
    vertex.play = Play(fails="train", error="exited with a non-zero status of 137", log=("killed",))
    denied = "Permission 'logging.logEntries.list' denied"
    vertex.faults = {"ListLogEntries": Fault(grpc.StatusCode.PERMISSION_DENIED, denied)}
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert "exited with a non-zero status of 137" in str(failure)
    assert "its log cannot be read" in str(failure)
    assert "roles/logging.viewer" in str(failure)


def test_a_step_that_never_started_has_no_log(vertex, target, asked, run) -> None:
    vertex.play = Play(fails="snapshot", error="Failed to pull image base:0.1.0: not found", started=False)
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert str(failure) == "snapshot: Failed to pull image base:0.1.0: not found"
    assert failure.log == run.link
    assert "ListLogEntries" not in vertex.calls


def test_a_failure_outside_the_steps_is_explained(vertex, target, asked, run) -> None:
    denied = "Service account `1-compute@x` does not have `[storage.objects.get]` IAM permission(s) to the bucket"
    vertex.play = Play(job_error=f"{denied}; Job (project_id = flowers-prod, job_id = 1) is failed due to the above")
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert (str(failure), failure.step) == (denied, "")


def test_the_failure_of_a_condition_is_explained(vertex, target, asked, run) -> None:
    vertex.play = Play(fails="condition-2", error="the condition cannot be evaluated")
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert (str(failure), failure.step) == ("the condition cannot be evaluated", "")


def test_a_step_whose_custom_job_was_cancelled_fails(vertex, target, asked, run) -> None:
    vertex.play = Play(fails="train", state="CANCELLED", log=("train: epoch 1",))
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert str(failure) == "train: its job was cancelled"
    assert states(run)["train"] == "failed"


def test_a_failed_notification_does_not_change_the_outcome(vertex, target, asked, run) -> None:
    vertex.play = Play(fails="notify")
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert failure is None
    assert states(run)["notify"] == "failed"


@pytest.mark.parametrize(
    ("ends", "notified", "reported"),
    [
        ("CANCELLED", False, "the job was cancelled; if notify did not run, the next run may have to wait"),
        ("CANCELLED", True, "the job was cancelled"),
        ("FAILED", False, "train: its job was cancelled"),
    ],
)
def test_a_cancelled_job_is_a_failure(vertex, target, asked, run, ends, notified, reported) -> None:
    vertex.play = Play(stops_at="train", cancelled=ends, notified=notified)
    target().submit(asked, run)
    account = service_account.Credentials.from_service_account_file(vertex.google.folder / "account.json")
    client = PipelineServiceClient(credentials=account, client_options={"api_endpoint": vertex.host})
    while "train" not in [task.task_name for task in client.get_pipeline_job(name=run.job).job_detail.task_details]:
        pass
    client.cancel_pipeline_job(name=run.job)
    failure, output = follow(target(), asked, run)
    assert str(failure).startswith(reported)
    assert ("lease of the lock" in str(failure)) == (ends == "CANCELLED" and not notified)
    assert "the job is being cancelled" in output
    assert states(run)["train"] == "failed"
    assert states(run)["notify"] == ("ran" if notified else "failed")
    ended = record.read(asked.record_uri, run.run_id, record.END)
    assert (ended and ended["outcome"]) == (record.FAILED if notified else None)


@pytest.mark.parametrize(
    ("code", "reply", "remedy"),
    [
        ("PERMISSION_DENIED", "Permission 'aiplatform.pipelineJobs.create' denied", "grant roles/aiplatform.user"),
        ("PERMISSION_DENIED", "lacks iam.serviceAccounts.actAs", "grant roles/iam.serviceAccountUser"),
        ("PERMISSION_DENIED", "aiplatform.googleapis.com has not been used in project 1", "gcloud services enable aip"),
        ("UNAUTHENTICATED", "token expired", "gcloud auth application-default login"),
        # Seen in googleapis/python-aiplatform#1073: what is missing is a permission, whatever the code.
        ("INVALID_ARGUMENT", "You do not have permission to act as service_account: s@p", "grant roles/iam.serviceAc"),
        # Seen where a project uses the service for the first time.
        ("FAILED_PRECONDITION", "Service agents are being provisioned (https://x)", "again in some minutes"),
        ("RESOURCE_EXHAUSTED", "Quota exceeded", "quota exhausted"),
        ("INVALID_ARGUMENT", "labels are invalid", "correct the settings"),
    ],
)
def test_a_rejected_request_is_one_line_with_a_remedy(vertex, target, asked, run, code, reply, remedy) -> None:
    vertex.faults = {"CreatePipelineJob": Fault(grpc.StatusCode[code], reply)}
    with pytest.raises(UsageError) as raised:
        target().submit(asked, run)
    assert reply in str(raised.value)
    assert remedy in str(raised.value)
    assert "\n" not in str(raised.value)
    assert run.job == ""


def test_a_deleted_job_is_a_failed_run_so_that_the_next_command_starts_another(vertex, target, asked, run) -> None:
    target().submit(asked, run)
    vertex.jobs.clear()
    failure, _ = follow(target(), asked, run)
    assert str(failure) == "the job was deleted on Vertex AI"


def test_a_deleted_job_whose_run_was_accepted_is_not_reported_as_failed(vertex, target, asked, run) -> None:
    target().submit(asked, run)
    vertex.finish(run.job)
    vertex.jobs.clear()
    with pytest.raises(UsageError, match=r"was deleted after its run ended: accepted; remove .*run\.json to start"):
        follow(target(), asked, run)


def test_a_job_of_another_project_is_not_considered_deleted(vertex, target, asked, run) -> None:
    target().submit(asked, run)
    vertex.faults = {"GetPipelineJob": Fault(grpc.StatusCode.NOT_FOUND, "no such location")}
    with pytest.raises(UsageError, match=r"not found .*check vertex.project and vertex.location"):
        follow(target(location="europe-west1"), asked, run)


def found(target: Vertex) -> list[str]:
    return [f"{probe.what}: {probe.run()}" for probe in target.probes()]


def test_the_probes_report_what_they_find(target) -> None:
    assert found(target())[1:] == [
        "credentials: runner@flowers-prod.iam.gserviceaccount.com, project flowers-prod",
        f"service: {target().settings.endpoint}, {PARENT}; jobs can be listed (creating one was not checked)",
        "container image base:0.1.0: found in its registry",
        "container image cpu:0.1.0: found in its registry",
    ]


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"project": "someone-elses"}, "permission denied .*check the project id, and grant roles/aiplatform.user"),
        ({"location": "mars-east1"}, "locations/mars-east1: not found .*vertex.location"),
        (
            {"endpoint": "localhost:1"},
            r"no answer .*check .* vertex.location and vertex.endpoint \(localhost:1\)",
        ),
        ({"tag": "0.0.9"}, "container image .*/base:0.0.9 not found; docker push it"),
        ({"container_repository": "petalflow"}, "does not name a registry .*docker.pkg.dev"),
    ],
)
def test_problems_are_found_before_anything_is_submitted(vertex, target, settings, remedy) -> None:
    with pytest.raises(UsageError, match=remedy):
        found(target(**settings))
    assert "CreatePipelineJob" not in vertex.calls


def test_missing_credentials_are_reported_with_a_remedy(target, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(UsageError, match=r"^no Google credentials were found; run `gcloud auth application-default"):
        found(target())


def test_a_broken_key_file_is_named(target, monkeypatch, tmp_path) -> None:
    (tmp_path / "key.json").write_text("no JSON")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(UsageError, match=r"key.json is not a valid json file; run `gcloud"):
        found(target())


def test_rejected_credentials_are_reported(vertex, target, monkeypatch) -> None:
    monkeypatch.setattr(vertex.google, "revoked", True)
    with pytest.raises(UsageError, match=r"not accepted \(invalid_grant: Invalid JWT Signature\); run `gcloud auth"):
        found(target())


def test_all_addresses_must_be_visible_to_vertex(target, asked, tmp_path) -> None:
    for address in (str(tmp_path), "s3://bucket/photos"):
        local = Request.of(address, asked.registry, "flowers", asked.configuration)
        with pytest.raises(UsageError, match=r"source .* a gs:// address"):
            target().check(local, tmp_path)


def test_a_complete_request_passes_the_check(target, asked, tmp_path, make_flowers) -> None:
    storage.copy_tree(str(make_flowers(tmp_path / "photos", each=1)), asked.source)
    target().check(asked, tmp_path / "out")


@pytest.mark.parametrize("name", ["Flowers_2", "a" * 200, "zażółć"])
def test_job_ids_are_valid_for_the_service(vertex, target, asked, run, name) -> None:
    run.run_id = f"{name}-20260101-000000-abcdef"
    target().submit(asked, run)
    assert run.job.endswith("-20260101-000000-abcdef")


@pytest.mark.parametrize(
    ("accelerator", "accelerators", "machine"),
    [
        ("TPU_V5_LITEPOD", 4, {"machine_type": "ct5lp-hightpu-4t", "tpu_topology": "2x2"}),
        ("TPU_V3", 8, {"machine_type": "cloud-tpu", "accelerator_type": "TPU_V3", "accelerator_count": 8}),
    ],
)
def test_a_tpu_trains_in_a_custom_job(vertex, target, asked, run, accelerator, accelerators, machine) -> None:
    tpu = target(
        machines={"train": {"accelerator": accelerator, "accelerators": accelerators}}, labels={"team": "botany"}
    )
    vertex.google.container_images.add("petalflow/tpu:0.1.0")
    tpu.submit(asked, run)  # the server checks how the steps are wired
    assert "not tested on real hardware" in vertex.spec["pipelineInfo"]["description"]
    inputs = vertex.spec["components"]["comp-train"]["inputDefinitions"]
    assert set(inputs["artifacts"]) == {"dataset"}
    assert {"state_uri", "train_config", "code_version"} <= set(inputs["parameters"])
    assert inputs["parameters"]["labels"]["defaultValue"] == {"team": "botany"}
    (pool,) = inputs["parameters"]["worker_pool_specs"]["defaultValue"]
    assert pool["machine_spec"] == machine
    assert WorkerPoolSpec.from_json(json.dumps(pool)).container_spec.image_uri == f"{vertex.google.registry}/tpu:0.1.0"
    assert "container image tpu:0.1.0: found in its registry" in found(tpu)


@pytest.mark.parametrize(
    ("machines", "remedy"),
    [
        ({"train": {"accelerator": "TPU_V3"}}, "TPU_V3 comes in 8, not 1"),
        ({"train": {"accelerator": "TPU_V5"}}, "unknown kind of TPU TPU_V5"),
        ({"evaluate": {"accelerator": "TPU_V6E"}}, "evaluate cannot run on a TPU"),
        ({"train": {"accelerator": "TPU_V6E", "cpu": 8}}, "are fixed; remove cpu"),
    ],
)
def test_an_impossible_tpu_is_reported(target, machines, remedy) -> None:
    with pytest.raises(UsageError, match=remedy):
        target(machines=machines).build()


def test_without_a_tpu_the_file_runs_on_every_backend(target, tmp_path) -> None:
    compile_pipeline(tmp_path / "pipeline.yaml", target().build())
    (spec,) = yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text())
    assert "custom_job" not in str(spec)


def test_a_weights_file_must_be_visible_to_vertex(target, asked, tmp_path) -> None:
    (tmp_path / "w.h5").write_bytes(b"weights")
    train = {"backbone": "MobileNetV2", "weights": str(tmp_path / "w.h5")}
    configuration = Configuration.of({"train": train, "evaluate": {"min_accuracy": 0.8}})
    with pytest.raises(UsageError, match="which Vertex AI cannot see; copy it to gs://"):
        target().check(dataclasses.replace(asked, configuration=configuration), tmp_path)


def test_a_tracking_store_on_this_machine_is_rejected(asked, target, tmp_path) -> None:
    configuration = Configuration.of({"notify": {"mlflow": "sqlite:////srv/m.db"}, "evaluate": {"min_accuracy": 0.8}})
    with pytest.raises(UsageError, match=r"/m\.db' is on this machine, where the steps cannot reach it"):
        target().check(dataclasses.replace(asked, configuration=configuration), tmp_path)


@pytest.mark.parametrize("found", ["env:HOOK", "file:/run/secrets/hook"])
def test_a_secret_that_vertex_cannot_see_is_rejected(found, asked, target, tmp_path) -> None:
    notify = {"notify": {"webhook": found}, "evaluate": {"min_accuracy": 0.8}}
    wrong = dataclasses.replace(asked, configuration=Configuration.of(notify))
    with pytest.raises(UsageError, match=f"use {found}, which steps on Vertex AI do not have; use file:gs://"):
        target().check(wrong, tmp_path)
