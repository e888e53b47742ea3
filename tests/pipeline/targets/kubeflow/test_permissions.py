from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.targets.kubeflow.permissions import missing_permissions
from tests.servers.kubernetes import Kubernetes, running_kubernetes, token

EDITOR = "system:serviceaccount:team-a:default-editor"


@pytest.fixture
def kubernetes(google, tmp_path, monkeypatch) -> Iterator[Kubernetes]:
    with running_kubernetes(tmp_path, google.folder, EDITOR) as server:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "localhost")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
        yield server


@pytest.fixture
def token_file(tmp_path) -> Path:
    file = tmp_path / "token"
    file.write_text(token(EDITOR, "pipelines.kubeflow.org"))
    return file


def test_a_pod_is_told_which_permissions_it_lacks(kubernetes, token_file) -> None:
    kubernetes.allowed = {("team-a", what) for what in ("experiments", "pipelines", "runs", "jobs")}
    assert missing_permissions("team-a", str(token_file), kubernetes.service_account) == []
    assert missing_permissions("team-b", str(token_file), kubernetes.service_account) == [
        "experiments", "pipelines", "runs", "jobs"
    ]  # fmt: skip
    kubernetes.allowed.remove(("team-a", "runs"))
    assert missing_permissions("team-a", str(token_file), kubernetes.service_account) == ["runs"]


@pytest.mark.parametrize("text", ["", "opaque", "a.b.c", token("system:serviceaccount:team-a:another", "x")])
def test_the_permissions_of_another_identity_are_unknown(kubernetes, token_file, text) -> None:
    token_file.write_text(text)
    assert missing_permissions("team-a", str(token_file), kubernetes.service_account) is None


def test_outside_a_pod_permissions_are_unknown(token_file, tmp_path) -> None:
    assert missing_permissions("team-a", str(token_file), tmp_path / "absent") is None
    assert missing_permissions("team-a", None, tmp_path / "absent") is None


def test_a_server_that_does_not_answer_leaves_permissions_unknown(kubernetes, token_file, monkeypatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "9")
    assert missing_permissions("team-a", str(token_file), kubernetes.service_account) is None
