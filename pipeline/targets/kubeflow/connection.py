"""Where Kubeflow Pipelines is, and the credentials for it."""

import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from petalflow.errors import UsageError
from pipeline.settings import KubeflowSettings

if TYPE_CHECKING:
    from kfp import Client
    from kfp.client.token_credentials_base import TokenCredentialsBase

IN_CLUSTER = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"


def find_host(settings: KubeflowSettings) -> str:
    """Returns the URL of the UI or the API.

    Raises:
        UsageError: If none is set.
    """
    host = settings.host or os.environ.get("KF_PIPELINES_ENDPOINT")
    if host:
        return host
    if "KUBERNETES_SERVICE_HOST" in os.environ:  # set in every pod
        return IN_CLUSTER
    raise UsageError(
        "kubeflow.host is not set; --set kubeflow.host=URL, like http://localhost:8080 (docker/kind/port-forward)"
    )


def find_token_file(settings: KubeflowSettings) -> str | None:
    """Returns the file of the token for Kubeflow: that of the settings or, inside the cluster, of the pod; or None."""
    from kfp import client

    if settings.token_file is None and find_host(settings) == IN_CLUSTER:
        given = os.environ.get(client.KF_PIPELINES_SA_TOKEN_ENV, client.KF_PIPELINES_SA_TOKEN_PATH)
        return given if Path(given).is_file() else None
    return settings.token_file


def new_client(settings: KubeflowSettings) -> "Client":
    """Returns kfp's client, without sending anything yet.

    Raises:
        UsageError: If no host is set, or a file named in the settings cannot be read.
    """
    from kfp import Client

    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it logs a warning at each attempt
    host = find_host(settings)
    if settings.ca_file and not Path(settings.ca_file).is_file():
        raise UsageError(f"kubeflow.ca_file={settings.ca_file!r} is not a file; name one with certificates")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about its use of version 2
        return Client(
            host=host,
            credentials=_credentials(settings),
            ssl_ca_cert=settings.ca_file,
            # Anything but its default, which it would request from the server five times; calls pass our own.
            namespace=settings.namespace or "none",
        )


def _credentials(settings: KubeflowSettings) -> "TokenCredentialsBase | None":
    """Returns credentials that read the token for each request, so that a new one takes effect."""
    from kfp.client import ServiceAccountTokenVolumeCredentials

    file = find_token_file(settings)
    if file is None:
        return None
    try:
        words = Path(file).read_text().split()
    except (OSError, UnicodeDecodeError):
        words = []
    if len(words) != 1:
        raise UsageError(f"kubeflow.token_file={file!r} does not contain exactly one token; write only the token to it")
    return ServiceAccountTokenVolumeCredentials(file)
