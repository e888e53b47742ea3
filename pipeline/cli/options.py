"""Options that several commands have in common."""

from enum import StrEnum
from typing import Annotated

import typer

from pipeline.cli.completion import complete_assignment

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.SETTING=VALUE",
        help="A single setting; can be repeated.",
        autocompletion=complete_assignment,
    ),
]
# What petalflow.yaml may say instead.
Registry = Annotated[str | None, typer.Option(help="Folder or URI of the model registry; default: models.")]
Name = Annotated[str | None, typer.Option(help="Name of the model; default: the only one in the registry.")]
State = Annotated[str | None, typer.Option(help="Folder or URI for state; default: REGISTRY/.state/NAME.")]
Record = Annotated[str | None, typer.Option(help="Folder or URI for run records; default: REGISTRY/.records/NAME.")]


class On(StrEnum):
    """The targets."""

    LOCAL = "local"
    DOCKER = "docker"
    KUBEFLOW = "kubeflow"
    VERTEX = "vertex"
