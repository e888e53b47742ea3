"""Names of the container images that the steps run in; docker/Dockerfile builds them."""

import re

from petalflow import __version__

PREFIX = "petalflow"
_PREFIX = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def image(target: str, prefix: str = PREFIX, tag: str = __version__) -> str:
    """Returns the name of an image.

    Args:
        target: Of docker/Dockerfile: base (without TensorFlow), cpu, gpu or tpu.
        prefix: The registry and what stands before the image there.
        tag: Its tag.
    """
    return f"{prefix.rstrip('/')}/{target}:{tag}"


def check_prefix(prefix: str) -> str:
    """Returns what may stand before the name of an image: REGISTRY/PREFIX.

    Raises:
        ValueError: If it may not.
    """
    if not _PREFIX.fullmatch(prefix.rstrip("/")):
        raise ValueError("it must look like registry.example.com/petalflow: lower case, and no https://")
    return prefix


def check_tag(tag: str) -> str:
    """Returns a tag that names the same image tomorrow.

    Raises:
        ValueError: If it is `latest`, or no tag at all.
    """
    if tag == "latest":
        raise ValueError("latest would make a run depend on the day it ran; name a version or the content tag")
    if not _TAG.fullmatch(tag):
        raise ValueError("a tag is 1 to 128 letters, digits, '_', '.' and '-'")
    return tag


# What the committed pipeline names.
BASE = image("base")
CPU = image("cpu")
