"""Options that several commands take."""

from enum import StrEnum
from typing import Annotated

import typer

State = Annotated[str | None, typer.Option(help="Where state goes; default REGISTRY/.state/NAME.")]
Record = Annotated[str | None, typer.Option(help="Where records go; default REGISTRY/.records/NAME.")]


class On(StrEnum):
    """The places to run."""

    LOCAL = "local"
    DOCKER = "docker"
    KUBEFLOW = "kubeflow"
    VERTEX = "vertex"
