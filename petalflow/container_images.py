"""Names of the container images that the steps run in; docker/Dockerfile builds them."""

import re

from petalflow import __version__

DEFAULT_REPOSITORY = "petalflow"
_REPOSITORY = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def container_image(variant: str, repository: str = DEFAULT_REPOSITORY, tag: str = __version__) -> str:
    """Returns the full name of a container image.

    Args:
        variant: A build target of docker/Dockerfile: base (without TensorFlow), cpu, gpu or tpu.
        repository: Registry and path that the container images are stored under: REGISTRY/PREFIX.
        tag: The container image's tag.
    """
    return f"{repository.rstrip('/')}/{variant}:{tag}"


def check_repository(repository: str) -> str:
    """Returns `repository` if it can precede the name of a container image.

    Raises:
        ValueError: If it is not of the form REGISTRY/PREFIX.
    """
    if not _REPOSITORY.fullmatch(repository.rstrip("/")):
        raise ValueError("it must look like registry.example.com/petalflow: lower case, and no https://")
    return repository


def check_tag(tag: str) -> str:
    """Returns `tag` if it is a valid tag that will still name the same container image tomorrow.

    Raises:
        ValueError: If it is `latest`, or not a valid tag.
    """
    if tag == "latest":
        raise ValueError("latest may name another container image tomorrow; use a version or the content tag")
    if not _TAG.fullmatch(tag):
        raise ValueError("a tag is 1 to 128 letters, digits, '_', '.' and '-'")
    return tag


# The container images named in the committed pipeline.yaml.
BASE = container_image("base")
CPU = container_image("cpu")
