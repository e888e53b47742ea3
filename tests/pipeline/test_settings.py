import pytest

from petalflow.errors import UsageError
from pipeline.configuration import read_target_settings
from pipeline.settings import DockerSettings, KubeflowSettings, VertexSettings


@pytest.mark.parametrize("host", ["http://localhost:8080", "https://kubeflow.example.com/pipeline", "http://[::1]:80"])
def test_a_host_is_a_url(host: str) -> None:
    assert KubeflowSettings.of({"host": host}).host == host


@pytest.mark.parametrize(
    "host", ["localhost:8080", "http://", "http://a:notaport/", "http://[::1", "ftp://a", "https:///x"]
)
def test_a_malformed_url_is_rejected(host: str) -> None:
    with pytest.raises(UsageError, match="it must be a URL like http"):
        KubeflowSettings.of({"host": host})


def test_a_password_is_rejected_since_it_would_be_stored() -> None:
    with pytest.raises(UsageError, match="it must not contain a password"):
        KubeflowSettings.of({"host": "http://user:hunter2@localhost:8080"})


def test_a_number_for_a_text_is_rejected_with_the_correct_syntax() -> None:
    with pytest.raises(
        UsageError, match=r"""docker\.tag=0\.2: it must be text; write it as "0\.2", or as '"0\.2"' in a shell"""
    ):
        DockerSettings.of({"tag": 0.2})


def test_the_container_repository_is_read_by_its_former_name_too() -> None:
    settings = read_target_settings({"docker": {"images": "registry.example.com/petalflow"}})
    assert settings["docker"].container_repository == "registry.example.com/petalflow"
    assert read_target_settings({})["docker"].container_repository == "petalflow"


def test_a_setting_under_both_of_its_names_is_rejected() -> None:
    with pytest.raises(UsageError, match="images is the former name of container_repository; set only"):
        DockerSettings.of({"images": "a.example.com/a", "container_repository": "b.example.com/b"})


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ({"": "botany"}, "begin with a letter"),
        ({"1team": "botany"}, "begin with a letter"),
        ({"team": "Botany"}, "up to 63 characters"),
        ({"vertex-ai-pipelines-run-billing-id": "7"}, "is set by Vertex AI; remove it"),
    ],
)
def test_a_label_that_vertex_would_refuse_or_replace_is_rejected(label: dict[str, str], why: str) -> None:
    assert VertexSettings.of({"labels": {"team": "", "cost-center_2": "7"}})
    with pytest.raises(UsageError, match=why):
        VertexSettings.of({"labels": label})
