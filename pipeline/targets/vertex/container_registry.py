"""Checking that a registry has a container image, with the requests that `docker pull` makes."""

import re
from typing import TYPE_CHECKING

from petalflow.errors import UsageError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

# Google's token is sent to Google's registries only.
_GOOGLES = re.compile(r"(.+\.pkg\.dev|(.+\.)?gcr\.io)(:443)?")
_TIMEOUT_S = 10
_KINDS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)


def is_google_registry(host: str) -> bool:
    """Returns True if a registry is Google's and may receive Google's token."""
    return bool(_GOOGLES.fullmatch(host))


def probe_container_image(image: str, credentials: "Credentials") -> str:
    """Looks for a container image in its registry.

    Args:
        image: The full name: europe-west4-docker.pkg.dev/project/repository/cpu:0.1.0.
        credentials: Google's credentials, sent to Google's registries only.

    Returns:
        What was found, in a few words.

    Raises:
        UsageError: If the name lacks a registry, or the registry does not have or show the container image.
    """
    import requests

    host, _, rest = image.partition("/")
    if not rest or not ("." in host or ":" in host):
        raise UsageError(
            f"{image} does not name a registry for Vertex AI to pull from; push the container images and "
            "--set vertex.container_repository=LOCATION-docker.pkg.dev/PROJECT/REPOSITORY"
        )
    name, _, tag = rest.rpartition(":")
    headers = {"Accept": _KINDS}
    if googles := is_google_registry(host):
        headers["Authorization"] = f"Bearer {credentials.token}"
    try:
        response = requests.head(f"https://{host}/v2/{name}/manifests/{tag}", headers=headers, timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        raise UsageError(
            f"{host} cannot be reached ({type(error).__name__}); correct vertex.container_repository"
        ) from None
    if response.ok:
        return "found in its registry"
    if response.status_code == requests.codes.not_found:
        raise UsageError(
            f"container image {image} not found; docker push it, or correct vertex.container_repository and vertex.tag"
        )
    if not googles and response.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        return f"not checked: {host} requires its own credentials"
    raise UsageError(
        f"{host} denies access to {image} (HTTP {response.status_code}); grant roles/artifactregistry.reader on the "
        "repository, or correct vertex.container_repository"
    )
