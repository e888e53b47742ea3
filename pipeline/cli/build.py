"""The build for `petalflow compile`: a target's settings, overridden by options."""

from collections.abc import Mapping
from typing import Any

from petalflow import __version__
from petalflow.container_images import DEFAULT_REPOSITORY, check_repository, check_tag
from petalflow.errors import UsageError
from pipeline.build import TRAIN, Build
from pipeline.configuration import read_target_settings
from pipeline.settings import Machine
from pipeline.targets import find_target


def read_build(
    on: str | None,
    values: Mapping[str, Mapping[str, Any]],
    repository: str | None = None,
    tag: str | None = None,
    accelerator: str | None = None,
) -> Build:
    """Returns the build for a target.

    Args:
        on: The target; None for a file that runs on every target.
        values: The user's settings by section; only the target's are used.
        repository: Repository of the container images; overrides the target's setting.
        tag: Tag of the container images; overrides the target's setting.
        accelerator: Accelerator for train; overrides the target's setting.

    Raises:
        UsageError: If an option or setting is invalid.
    """
    for option, value, check in (
        ("--container-repository", repository, check_repository),
        ("--tag", tag, check_tag),
    ):
        if value is not None:
            try:
                check(value)
            except ValueError as error:
                raise UsageError(f"{option} {value}: {error}") from None
    settings = read_target_settings(values)
    if on is None or on == "local":
        if accelerator and accelerator.startswith("TPU_"):
            raise UsageError(f"--accelerator {accelerator} exists only on Vertex AI; add --on vertex")
        machines = {TRAIN: Machine(accelerator=accelerator)} if accelerator else {}
        return Build(repository or DEFAULT_REPOSITORY, tag or __version__, machines)
    given = settings[on].model_dump()
    options = {"container_repository": repository, "tag": tag}
    given |= {name: value for name, value in options.items() if value is not None}
    if accelerator is not None:
        machine = given.get("machines", {}).get(TRAIN, {})
        given["machines"] = {**given.get("machines", {}), TRAIN: {**machine, "accelerator": accelerator}}
    return find_target(on, read_target_settings({on: given})).build()
