import pytest

from pipeline.targets.vertex.container_registry import is_google_registry


@pytest.mark.parametrize("host", ["gcr.io", "eu.gcr.io", "eu.gcr.io:443", "europe-west4-docker.pkg.dev"])
def test_googles_registries_are_recognized(host: str) -> None:
    assert is_google_registry(host)


@pytest.mark.parametrize(
    "host", ["evilgcr.io", "my-gcr.io", "pkg.dev.example.com", "xpkg.dev", "gcr.io.example.com", "gcr.io:8443"]
)
def test_similar_host_names_get_no_token(host: str) -> None:
    assert not is_google_registry(host)
