import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from rich.console import Console

from petalflow.errors import PetalflowError, UsageError
from petalflow.run import execution, record
from petalflow.run.steps import STEPS
from pipeline.compile import compile_pipeline
from pipeline.configuration import Configuration
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import RunFile
from pipeline.settings import KubeflowSettings
from pipeline.target import Failure
from pipeline.targets.kubeflow.api import Api
from pipeline.targets.kubeflow.target import Kubeflow
from tests.servers.kubeflow import NAMESPACE, Fault, Play, running_kubeflow

Make = Callable[..., Kubeflow]


@pytest.fixture
def target(kubeflow, tmp_path) -> Make:
    (tmp_path / "volume").mkdir()
    usual = {
        "host": kubeflow.url,
        "container_repository": "registry.example.com/petalflow",
        "volume_claim": "petalflow",
        "volume_path": str(tmp_path / "volume"),
        "poll_s": 0.01,
    }

    def make(**settings: object) -> Kubeflow:
        return Kubeflow(KubeflowSettings.of({**usual, **settings}))

    return make


@pytest.fixture
def asked(make_flowers, tmp_path) -> Request:
    volume = tmp_path / "volume"
    settings = {"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}}
    return Request.of(str(volume / "photos"), str(volume / "models"), "flowers", Configuration.of(settings))


@pytest.fixture
def run(asked, tmp_path) -> RunFile:
    (tmp_path / "out").mkdir()
    return RunFile.begin(tmp_path / "out", asked.parameters("c0de"), STEPS, "kubeflow")


def follow(target: Kubeflow, asked: Request, run: RunFile) -> tuple[Failure | None, str]:
    output = io.StringIO()
    failure = target.follow(asked, run, Display(run, Console(file=output, width=200)))
    return failure, output.getvalue()


def states(run: RunFile) -> dict[str, str]:
    return {step.name: step.state for step in run.steps}


def test_a_run_is_created_and_followed_to_its_end(kubeflow, target, asked, run) -> None:
    kubeflow.play = Play(cached=("convert", "train"))
    target(service_account="trainer").submit(asked, run)
    assert (run.job, run.link) == (kubeflow.run.run_id, f"{kubeflow.url}/#/runs/details/{kubeflow.run.run_id}")
    assert (kubeflow.run.display_name, kubeflow.run.service_account) == (run.run_id, "trainer")
    assert kubeflow.run.runtime_config.parameters == run.arguments()
    failure, output = follow(target(), asked, run)
    assert failure is None
    assert states(run) == dict.fromkeys(STEPS, "ran") | {"convert": "cached", "train": "cached"}
    assert run.step("evaluate").seconds == 10
    assert "evaluate ran, 10.0 s" in output
    assert record.outcome(asked.record_uri, run.run_id, succeeded=True) == record.ACCEPTED


@pytest.mark.parametrize(
    ("outcome", "skipped"),
    [(record.REFUSED, {"export", "release"}), (record.NOTHING_NEW, set(STEPS) - {"snapshot", "notify"})],
)
def test_a_step_whose_condition_is_not_met_is_left_waiting(kubeflow, target, asked, run, outcome, skipped) -> None:
    kubeflow.play = Play(outcome=outcome)
    target().submit(asked, run)
    assert follow(target(), asked, run)[0] is None
    assert {step for step, state in states(run).items() if state == "waiting"} == skipped
    assert record.outcome(asked.record_uri, run.run_id, succeeded=True) == outcome


LOG = "".join(f"epoch {number}\n" for number in range(100)) + "petalflow: train: error: no room for the model\n"


@pytest.mark.parametrize(
    ("play", "ui"),
    [
        (Play(retry_layers=False), True),
        (Play(), True),
        (Play(), False),
        (Play(retries=("train",), retried=("train",), retry_layers=False), True),
        (Play(retries=("train",), retried=("train",)), False),
    ],
)
def test_the_error_line_is_read_from_the_log_of_the_last_attempt(kubeflow, target, asked, run, play, ui) -> None:
    kubeflow.play, kubeflow.ui = replace(play, fails="train", log=LOG, records=False), ui
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert failure is not None
    assert (failure.step, str(failure), failure.log) == ("train", "train: no room for the model", run.link)
    assert failure.lines[0] == "epoch 51"
    assert states(run) == {
        **dict.fromkeys(STEPS, "waiting"),
        **dict.fromkeys(("snapshot", "convert", "validate", "notify"), "ran"),
        "train": "failed",
    }


def test_the_error_in_the_record_needs_no_log(kubeflow, target, asked, run) -> None:
    kubeflow.play = Play(fails="train", log=LOG)
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert failure is not None
    assert (failure.step, str(failure), failure.log) == ("train", "train: no room for the model", run.link)
    assert not any("log" in call for call in kubeflow.calls)


def test_the_error_that_a_step_recorded_is_shown_even_if_notify_never_ran(kubeflow, target, asked, run) -> None:
    kubeflow.play = Play(fails="train", log="petalflow: train: error: no room for the model\n", notifies=False)
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert (str(failure), failure and failure.step) == ("train: no room for the model", "train")
    assert not any("log" in call for call in kubeflow.calls)


@pytest.mark.parametrize("ui", [True, False])
def test_an_unavailable_log_is_reported_in_a_few_words(kubeflow, target, asked, run, ui) -> None:
    kubeflow.play, kubeflow.ui = Play(fails="train", log=None), ui
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert failure is not None
    assert str(failure).endswith("its log cannot be read from here")
    assert "error_message" not in str(failure)


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (
            "epoch 1\nF1127 21:59:58.000001       1 main.go:54] failed to execute component: signal: killed\n",
            "train: failed to execute component: signal: killed",
        ),
        (
            "epoch 1\nF1127 21:59:58.000001       1 main.go:54] failed to execute component: exit status 1\n",
            "train failed without an error (killed? out of memory?); last lines:\nepoch 1",
        ),
    ],
)
def test_the_line_of_the_launcher_is_a_reason(kubeflow, target, asked, run, log, message) -> None:
    kubeflow.play = Play(fails="train", log=log)
    target().submit(asked, run)
    assert str(follow(target(), asked, run)[0]).startswith(message)


OOM = {"containerStatuses": [{"name": "main", "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]}
SIDECAR_OOM = {"containerStatuses": [{"name": "wait", "state": {"terminated": {"reason": "OOMKilled"}}}]}
EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
NO_IMAGE = {
    "phase": "Pending",
    "containerStatuses": [
        {"image": "a.b/cpu:1", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling"}}}
    ],
}
NO_NODE = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
    ],
}


@pytest.mark.parametrize(
    ("log", "pod", "message"),
    [
        (
            "epoch 1\n",
            OOM,
            "train: it used more memory than its pod may (OOMKilled); raise memory_gb in kubeflow.machines",
        ),
        ("epoch 1\n", SIDECAR_OOM, "train: the container wait of its pod ran out of memory (OOMKilled)"),
        (None, EVICTED, "train: its pod was ended (Evicted: The node was low on resource: memory.)"),
    ],
)
def test_a_pod_that_was_ended_is_a_reason(kubeflow, target, asked, run, log, pod, message) -> None:
    kubeflow.play = Play(fails="train", log=log, pod=pod)
    target().submit(asked, run)
    assert str(follow(target(), asked, run)[0]).startswith(message)


@pytest.mark.parametrize(
    ("retry_layers", "pod", "message"),
    [
        (
            True,
            NO_IMAGE,
            "its image a.b/cpu:1 cannot be pulled (ImagePullBackOff: Back-off pulling); fix it, or terminate the run",
        ),
        (
            False,
            NO_NODE,
            "no node can run its pod (Unschedulable: 0/3 nodes are available); fix it, or terminate the run",
        ),
        (True, {}, "Kubernetes may not be able to pull its image, or may have no room for it; the UI shows the pod's"),
    ],
)
def test_a_pod_that_does_not_start_is_reported_once(kubeflow, target, asked, run, retry_layers, pod, message) -> None:
    kubeflow.play = Play(pending="train", pod=pod, retry_layers=retry_layers)
    target().submit(asked, run)
    failure, output = follow(target(), asked, run)
    assert failure is None
    assert output.count("waiting for its pod") == 1
    assert f"train has been waiting for its pod for more than ten minutes: {message}" in output


@pytest.mark.parametrize(
    ("play", "step", "message"),
    [
        (Play(fails="train-driver"), "train", "the driver failed"),
        (Play(run_error="the quota of the namespace is used up"), "", "the quota of the namespace is used up"),
        (Play(cancelled=True), "", "the run was cancelled; if notify did not run, the next run may have to wait"),
        (Play(cancelled=True, keeps_history=False), "", "the run was cancelled"),
    ],
)
def test_a_failure_outside_the_steps_is_reported(kubeflow, target, asked, run, play, step, message) -> None:
    kubeflow.play = play
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert failure is not None
    assert failure.step == step
    assert message in str(failure)


@pytest.mark.parametrize(("condition", "step"), [("condition-2", "convert"), ("condition-3", "export")])
@pytest.mark.parametrize("notifies", [True, False])
def test_a_condition_that_fails_is_a_failure_even_if_notify_fails_too(
    kubeflow, target, asked, run, condition, step, notifies
) -> None:
    kubeflow.play = Play(fails=f"{condition}-driver", notifies=notifies, records=False)
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert failure is not None
    assert str(failure) == f"Kubeflow could not start {condition} (its driver failed); the UI shows its log"
    assert states(run)[step] == "waiting"


def test_what_a_later_run_recorded_is_not_this_runs_error(kubeflow, target, asked, run) -> None:
    kubeflow.play = Play(fails="train", log="petalflow: train: error: no room for the model\n")
    target().submit(asked, run)
    kubeflow.finish(kubeflow.run.run_id)
    with pytest.raises(PetalflowError), execution.tracked("train", asked.state_uri):
        raise PetalflowError("the later run's own fault")
    failure, _ = follow(target(), asked, run)
    assert str(failure) == "train: no room for the model"


def test_a_state_that_cannot_be_read_leaves_the_log_to_explain_a_failure(kubeflow, target, asked, run) -> None:
    kubeflow.play = Play(fails="train", log=LOG, records=False)
    target().submit(asked, run)
    notes = Path(asked.state_uri) / "steps"
    notes.mkdir(parents=True)
    (notes / "train.json").symlink_to("nowhere")
    assert str(follow(target(), asked, run)[0]) == "train: no room for the model"


def test_a_repeated_pipeline_is_shown_as_it_went_the_last_time(kubeflow, target, asked, run) -> None:
    kubeflow.play = Play(fails="train", whole_dag_retried=True, cached=("convert",))
    target().submit(asked, run)
    failure, _ = follow(target(), asked, run)
    assert failure is None
    assert states(run) == dict.fromkeys(STEPS, "ran") | {"convert": "cached"}


def test_a_failed_notification_does_not_fail_the_run(kubeflow, target, asked, run) -> None:
    kubeflow.play = Play(fails="notify")
    target().submit(asked, run)
    assert follow(target(), asked, run)[0] is None
    assert states(run)["notify"] == "failed"


def test_a_file_is_uploaded_once_and_a_changed_file_again(kubeflow, target, asked, run, tmp_path) -> None:
    for out, tag in (("a", "1.0"), ("b", "1.0"), ("c", "1.1")):
        (tmp_path / out).mkdir()
        target(tag=tag).submit(asked, RunFile.begin(tmp_path / out, run.parameters, STEPS, "kubeflow"))
    assert (kubeflow.uploads(), len(kubeflow.versions), len(kubeflow.runs)) == (2, 2, 3)
    assert (len(kubeflow.pipelines), len(kubeflow.experiments)) == (1, 1)


def test_a_run_that_was_started_but_not_recorded_is_found(kubeflow, target, asked, run) -> None:
    kubeflow.faults["POST /apis/v2beta1/runs"] = Fault(503, done=True)
    with pytest.raises(PetalflowError, match="cannot answer now"):
        target().submit(asked, run)
    target().submit(asked, run)
    assert run.job == kubeflow.run.run_id


@pytest.mark.parametrize("what", ["experiments", "pipelines", "pipelines/upload_version"])
def test_what_another_command_creates_at_the_same_moment_is_used(kubeflow, target, asked, run, what) -> None:
    kubeflow.faults[f"POST /apis/v2beta1/{what}"] = Fault(409, done=True, message="Already exist error")
    target().submit(asked, run)
    assert (len(kubeflow.experiments), len(kubeflow.pipelines), len(kubeflow.versions)) == (1, 1, 1)
    assert run.job == kubeflow.run.run_id


def test_an_unavailable_service_is_polled_again(kubeflow, target, asked, run) -> None:
    target().submit(asked, run)
    kubeflow.faults["GET /apis/v2beta1/runs/"] = Fault(502, times=2)
    failure, output = follow(target(), asked, run)
    assert failure is None
    assert output.count("502 Bad Gateway: the service is tired); retrying") == 2


def test_a_proxy_without_a_route_to_a_server_that_is_being_upgraded_is_asked_again(
    kubeflow, target, asked, run
) -> None:
    target().submit(asked, run)
    kubeflow.faults["GET /apis/v2beta1/runs/"] = Fault(404, times=2, page=True)
    failure, output = follow(target(), asked, run)
    assert failure is None
    assert output.count("cannot answer now (404 Not Found") == 2


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r"write a valid token to a file, and --set kubeflow.token_file.* the audience pipelines\.kubeflow\.org"),
        (403, "ask for the role kubeflow-edit"),
        (404, "check kubeflow.host"),
        (400, "rejected the request"),
    ],
)
def test_a_rejected_request_is_one_line_with_a_remedy(kubeflow, target, asked, run, status, message) -> None:
    kubeflow.faults["POST /apis/v2beta1/runs"] = Fault(status)
    with pytest.raises(PetalflowError, match=message) as caught:
        target().submit(asked, run)
    assert "\n" not in str(caught.value)


def test_a_long_message_keeps_its_end_where_the_reason_is(kubeflow, target, asked, run) -> None:
    message = f"Failed to create a new run: {'Failed to fetch a template: ' * 20}ResourceNotFoundError: no such version"
    kubeflow.faults["POST /apis/v2beta1/runs"] = Fault(400, message=message)
    with pytest.raises(PetalflowError, match=r"Failed to create a new run.* \.\.\. .*no such version") as caught:
        target().submit(asked, run)
    assert len(str(caught.value)) < 400


def test_a_missing_token_is_recognized_whatever_the_status(kubeflow, target) -> None:
    message = "Internal error: Unauthenticated: Request header error: there is no user identity header."
    kubeflow.faults["GET /apis/v2beta1/runs"] = Fault(500, message=message)  # kubeflow/pipelines issue 7777
    with pytest.raises(UsageError, match=r"the audience pipelines\.kubeflow\.org"):
        target().probes()[2].run()


def test_a_refused_upload_is_explained(kubeflow, target, asked, run) -> None:
    kubeflow.faults["POST /apis/v2beta1/pipelines/upload_version"] = Fault(400, message="the file has no root")
    with pytest.raises(PetalflowError, match=r"rejected the request \(400 Bad Request: the file has no root\)"):
        target().submit(asked, run)


def test_a_missing_permission_is_recognized_within_a_long_message(kubeflow, target, asked, run) -> None:
    message = f"Failed to create a new run: {'x ' * 90}PermissionDenied: User 'me' is not authorized: {'y ' * 200}"
    kubeflow.faults["POST /apis/v2beta1/runs"] = Fault(500, message=message)
    with pytest.raises(UsageError, match="ask for the role kubeflow-edit"):
        target().submit(asked, run)


def test_a_missing_permission_is_recognized_whatever_the_status(kubeflow, target, asked, run) -> None:
    kubeflow.multi_user = True
    target(namespace=NAMESPACE).submit(asked, run)  # by someone else, who may
    kubeflow.reads_only = True
    run.run_id = "flowers-2"
    with pytest.raises(UsageError, match=r"400 Bad Request: .*PermissionDenied.*; ask for the role kubeflow-edit in"):
        target(namespace=NAMESPACE, tag="2.0").submit(asked, run)


def test_a_token_is_read_again_at_each_request(kubeflow, target, tmp_path) -> None:
    kubeflow.token = "first"
    token = tmp_path / "token"
    with pytest.raises(UsageError, match="does not accept the credentials"):
        target().probes()[1].run()
    token.write_text("")
    with pytest.raises(UsageError, match="does not contain exactly one token"):
        target(token_file=str(token)).probes()[1].run()
    token.write_text("first\n")
    api = Api.connect(target(token_file=str(token)).settings)
    api.health()
    kubeflow.token = "second"
    token.write_text("second")
    api.health()


def test_namespaces_are_for_several_users_only(kubeflow, target, asked, run) -> None:
    with pytest.raises(UsageError, match="serves one user"):
        target(namespace=NAMESPACE).probes()[1].run()
    kubeflow.multi_user = True
    with pytest.raises(UsageError, match="serves several users"):
        target().probes()[1].run()
    with pytest.raises(UsageError, match="kubeflow-edit in namespace team-b"):
        target(namespace="team-b").probes()[2].run()
    kubeflow.play = Play(fails="train", log="petalflow: train: error: no room\n")
    target(namespace=NAMESPACE).submit(asked, run)
    failure, _ = follow(target(namespace=NAMESPACE), asked, run)
    assert str(failure) == "train: no room"
    assert kubeflow.experiments[kubeflow.run.experiment_id].namespace == NAMESPACE


def test_probes_report_what_they_find(kubeflow, target) -> None:
    found = {probe.what: probe.run() for probe in target().probes()}
    assert found["endpoint"] == kubeflow.url
    assert found["volume"].endswith("volume, visible from here")


def test_the_permission_probe_states_what_it_did_not_ask(kubeflow, target) -> None:
    assert target().probes()[2].run() == "any: Kubeflow serves one user, without permissions"
    kubeflow.multi_user = kubeflow.reads_only = True
    found = target(namespace=NAMESPACE).probes()[2].run()
    assert "may list the runs of team-a; only a pod of the cluster can check whether you may create them" in found


def test_an_unreachable_host_is_named(target) -> None:
    with pytest.raises(UsageError, match=r"http://127.0.0.1:9 does not answer \(.*Connection refused.*kubeflow.host"):
        target(host="http://127.0.0.1:9").probes()[1].run()


def test_another_service_is_not_mistaken_for_kubeflow(kubeflow, target) -> None:
    with pytest.raises(UsageError, match="answers, but not as Kubeflow Pipelines does"):
        target(host=f"{kubeflow.url}/elsewhere").probes()[1].run()


def test_a_certificate_is_trusted_if_it_is_configured(google, target) -> None:
    with running_kubeflow(certificate=google.folder) as kubeflow:
        with pytest.raises(UsageError, match=r"is not trusted \(self-signed certificate.*kubeflow\.ca_file"):
            target(host=kubeflow.url).probes()[1].run()
        with pytest.raises(UsageError, match="is not a file"):
            target(host=kubeflow.url, ca_file="absent.pem").probes()[1].run()
        assert target(host=kubeflow.url, ca_file=str(google.folder / "cert.pem")).probes()[1].run() == kubeflow.url


def test_without_a_host_a_pod_uses_its_own_cluster(target, monkeypatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)
    with pytest.raises(UsageError, match=r"--set kubeflow\.host=URL"):
        target(host=None).probes()[1].run()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert Api.connect(target(host=None).settings).host == "http://ml-pipeline.kubeflow.svc.cluster.local:8888"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "localhost:8080"}, "kubeflow.host"),
        ({"volume_claim": None}, "volume_claim and volume_path belong together"),
        ({"machines": {"train": {"accelerator": "NVIDIA_L4"}}}, "Kubernetes has no accelerator NVIDIA_L4"),
        ({"tolerations": [{"keyy": "gpu"}]}, "kubeflow.tolerations.0.keyy"),
        ({"run_as_user": 0}, "kubeflow.run_as_user"),
        ({"secret": "Store_1"}, "kubeflow.secret"),
        ({"secret_keys": ["A B"]}, "kubeflow.secret_keys"),
        ({"service_account": "the trainer"}, "kubeflow.service_account"),
        ({"tolerations": [{"key": "gpu", "operator": "Exists", "value": "x"}]}, "takes no value; remove it"),
        ({"tolerations": [{"effect": "NoSchedule"}]}, "the operator must be Exists"),
        ({"node_selector": {"pool": "a b"}}, "pool: a b is not a valid label"),
        ({"machines": {"train": {"memory_gb": 0}}}, "kubeflow.machines.train.memory_gb"),
    ],
)
def test_invalid_settings_are_named(target, settings, message) -> None:
    with pytest.raises(UsageError, match=message):
        target(**settings)


def test_addresses_must_be_visible_to_the_cluster(target, asked, make_flowers, tmp_path) -> None:
    make_flowers(Path(asked.source))
    target().check(asked, tmp_path / "out")
    elsewhere = Request.of(asked.source, str(tmp_path / "models"), "flowers", asked.configuration)
    with pytest.raises(UsageError, match=r"--registry .*/models is not inside kubeflow\.volume_path"):
        target().check(elsewhere, tmp_path / "out")
    with pytest.raises(UsageError, match=r"source .*/photos is on this machine, which the cluster cannot see"):
        target(volume_claim=None, volume_path=None).check(asked, tmp_path / "out")


def test_a_dated_source_on_a_visible_volume_is_checked(target, asked, make_flowers, tmp_path) -> None:
    make_flowers(Path(asked.source) / "2026-11-22")
    target().check(replace(asked, source=f"{asked.source}/{{latest}}"), tmp_path / "out")
    with pytest.raises(UsageError, match=r"nothing in .*/photos has a date up to"):
        target().check(replace(asked, source=f"{asked.source}/{{latest:%Y/%m}}"), tmp_path / "out")


@pytest.mark.parametrize("name", ["photos", "{date}", "{latest:%Y/%m/%d}"])
def test_a_volume_that_only_the_cluster_sees_is_not_checked(target, tmp_path, name) -> None:
    settings = Configuration.of({"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}})
    asked = Request.of(f"/nowhere/{name}", "/nowhere/models", "flowers", settings)
    target(volume_path="/nowhere").check(asked, tmp_path / "out")
    with pytest.raises(UsageError, match=r"{datum} is not a placeholder"):
        target(volume_path="/nowhere").check(replace(asked, source="/nowhere/{datum}"), tmp_path / "out")


def test_what_only_kubernetes_understands_is_a_second_document(target, tmp_path) -> None:
    file = tmp_path / "pipeline.yaml"
    plain = target(volume_claim=None, volume_path=None)
    compile_pipeline(file, plain.build())
    assert len(list(yaml.safe_load_all(file.read_text()))) == 1
    dressed = target(
        volume_path="/data",
        secret="store",  # noqa: S106  (its name)
        run_as_user=1000,
        tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        node_selector={"pool": "gpu"},
        machines={"evaluate": {"accelerator": "nvidia.com/gpu"}},
    )
    compile_pipeline(file, dressed.build())
    _, platform = yaml.safe_load_all(file.read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    parsed = {
        label.removeprefix("exec-"): json_format.ParseDict(values, KubernetesExecutorConfig())
        for label, values in executors.items()
    }
    assert set(parsed) == set(STEPS)
    for config in parsed.values():
        (mount,), (secret,) = config.pvc_mount, config.secret_as_env
        assert (mount.pvc_name_parameter.runtime_value.constant.string_value, mount.mount_path) == (
            "petalflow",
            "/data",
        )
        assert (secret.secret_name, secret.key_to_env[0].env_var) == ("store", "AWS_ACCESS_KEY_ID")
        assert config.security_context.run_as_user == 1000
    for step in ("train", "evaluate"):
        assert parsed[step].node_selector.labels == {"pool": "gpu"}
        assert parsed[step].tolerations[0].key == "nvidia.com/gpu"
    assert not parsed["export"].tolerations
    assert not parsed["export"].node_selector.labels


def test_the_code_version_follows_the_images(target) -> None:
    assert (
        len(
            {
                target().code_version(),
                target(tag="9.9").code_version(),
                target(container_repository="a.b/c").code_version(),
            }
        )
        == 3
    )


def test_a_tracking_store_on_this_machine_is_rejected(asked, target, make_flowers, tmp_path) -> None:
    make_flowers(tmp_path / "volume" / "photos")
    notify = {
        "notify": {"mlflow": "sqlite:////srv/m.db"},
        "train": {"backbone": "cnn"},
        "evaluate": {"min_accuracy": 0.8},
    }
    with pytest.raises(UsageError, match=r"/m\.db' is on this machine, where the steps cannot reach it"):
        target().check(replace(asked, configuration=Configuration.of(notify)), tmp_path)


def test_a_secret_that_steps_do_not_receive_is_rejected(asked, target, make_flowers, tmp_path) -> None:
    make_flowers(tmp_path / "volume" / "photos")
    notify = {"notify": {"webhook": "env:HOOK"}, "train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}}
    wrong = replace(asked, configuration=Configuration.of(notify))
    for settings in ({}, {"secret_keys": ["HOOK"]}, {"secret": "petalflow"}):
        with pytest.raises(UsageError, match="use env:HOOK, which is not set in the steps; put it into a Kubernetes"):
            target(**settings).check(wrong, tmp_path)
    target(**{"secret": "petalflow", "secret_keys": ["HOOK"]}).check(wrong, tmp_path)
