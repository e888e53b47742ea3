from collections.abc import Callable, Iterator

import pytest
from google.cloud.aiplatform_v1 import PipelineServiceClient

from petalflow.errors import UsageError
from pipeline.targets.cluster import Unreachable
from pipeline.targets.vertex.google_cloud import find_credentials, translate_errors
from tests.servers.vertex import PARENT


@pytest.fixture
def ask(vertex) -> Iterator[Callable[[], None]]:
    """Asks the service with a user's credentials, which have to be renewed first."""
    find_credentials()  # as every command does first
    client = PipelineServiceClient(credentials=vertex.google.user, client_options={"api_endpoint": vertex.host})

    def ask() -> None:
        with translate_errors("Vertex AI"):
            client.list_pipeline_jobs(parent=PARENT, timeout=5)

    yield ask
    vertex.google.revoked = vertex.google.tired = False


def test_a_users_credentials_are_renewed_during_a_long_run(ask) -> None:
    ask()


def test_credentials_that_were_revoked_during_a_run_must_be_renewed_by_hand(vertex, ask, caplog) -> None:
    vertex.google.revoked = True
    with pytest.raises(UsageError, match=r"credentials are not accepted .*run `gcloud auth application-default login`"):
        ask()
    assert not caplog.records, "gRPC would log a traceback"


def test_a_token_server_that_is_unavailable_for_a_moment_does_not_end_the_following(vertex, ask) -> None:
    vertex.google.tired = True
    with pytest.raises(Unreachable, match="no answer"):
        ask()
