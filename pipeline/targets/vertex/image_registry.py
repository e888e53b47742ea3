"""Whether a registry has an image, asked as `docker pull` would ask."""

import re
from typing import TYPE_CHECKING

from petalflow.errors import UsageError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

# Google's token is for Google's registries only.
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


def is_googles(host: str) -> bool:
    """Tells whether a registry is Google's, and may see Google's token."""
    return bool(_GOOGLES.fullmatch(host))


def probe_image(image: str, credentials: "Credentials") -> str:
    """Looks for an image in its registry.

    Args:
        image: Its full name: europe-west4-docker.pkg.dev/project/repository/cpu:0.1.0.
        credentials: Google's, shown to Google's registries only.

    Returns:
        What was found.

    Raises:
        UsageError: If its name lacks a registry, or the registry does not have it or does not show it.
    """
    import requests

    host, _, rest = image.partition("/")
    if not rest or not ("." in host or ":" in host):
        raise UsageError(
            f"{image} names no registry that Vertex AI could pull from; push the images and "
            "--set vertex.container_repository=LOCATION-docker.pkg.dev/PROJECT/REPOSITORY"
        )
    name, _, tag = rest.rpartition(":")
    headers = {"Accept": _KINDS}
    if googles := is_googles(host):
        headers["Authorization"] = f"Bearer {credentials.token}"
    try:
        answer = requests.head(f"https://{host}/v2/{name}/manifests/{tag}", headers=headers, timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        raise UsageError(
            f"{host} cannot be reached ({type(error).__name__}); correct vertex.container_repository"
        ) from None
    if answer.ok:
        return "in its registry"
    if answer.status_code == requests.codes.not_found:
        raise UsageError(
            f"container image {image} not found; docker push it, or correct vertex.container_repository and vertex.tag"
        )
    if not googles and answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        return f"not looked at: {host} asks for credentials of its own"
    raise UsageError(
        f"{host} does not show {image} (HTTP {answer.status_code}); grant roles/artifactregistry.reader on the "
        "repository, or correct vertex.container_repository"
    )
