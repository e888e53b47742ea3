"""Asking Kubernetes what we may do on Kubeflow, as far as it can tell.

Kubeflow's API answers only what a request needs, once it is made. But it decides by the permissions that Kubernetes
has for the identity of the token. A pod can ask about its own.
"""

import base64
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubernetes.client import AuthorizationV1Api

# What is created, as its permissions call it; jobs are recurring runs (backend/src/apiserver/common/const.go).
NEEDED_BY_RUNS = ("experiments", "pipelines", "runs")
NEEDED_BY_SCHEDULES = ("jobs",)
_GROUP = "pipelines.kubeflow.org"
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_ASK_S = (4, 5)


def missing_permissions(
    namespace: str, token_file: str | None, service_account: Path = _SERVICE_ACCOUNT
) -> list[str] | None:
    """Returns what a pod may not create of what runs and schedules need: "runs"; None if it cannot be asked.

    Args:
        namespace: The namespace of the runs.
        token_file: The token that Kubeflow receives; the answer is about the pod, so it must be of the same identity.
        service_account: The folder in which Kubernetes puts the pod's own token and the certificate of its server.
    """
    own = _subject(service_account / "token")
    if own is None or token_file is None or _subject(Path(token_file)) != own:
        return None
    from kubernetes import client  # comes with kfp
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.incluster_config import InClusterConfigLoader
    from urllib3.exceptions import HTTPError

    configuration = client.Configuration()
    try:
        InClusterConfigLoader(str(service_account / "token"), str(service_account / "ca.crt")).load_and_set(
            configuration
        )
        reviews = client.AuthorizationV1Api(client.ApiClient(configuration))
        needed = (*NEEDED_BY_RUNS, *NEEDED_BY_SCHEDULES)
        return [what for what in needed if not _may_create(reviews, namespace, what)]
    except (ConfigException, client.ApiException, HTTPError):
        return None


def _may_create(reviews: "AuthorizationV1Api", namespace: str, resource: str) -> bool:
    from kubernetes import client

    attributes = client.V1ResourceAttributes(namespace=namespace, verb="create", group=_GROUP, resource=resource)
    review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
    return bool(reviews.create_self_subject_access_review(review, _request_timeout=_ASK_S).status.allowed)


def _subject(file: Path) -> str | None:
    """Returns whom a token of Kubernetes is for: "system:serviceaccount:NAMESPACE:NAME"; None for another token."""
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
        payload = file.read_text().split(".")[1]
        subject = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("sub")
        return str(subject) if subject else None
    return None
