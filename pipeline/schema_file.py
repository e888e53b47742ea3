"""petalflow.schema.json, with which editors complete and check YAML files: where it is, and how a file names it."""

import os
from pathlib import Path
from urllib.parse import quote

FILE = "petalflow.schema.json"
_HERE = Path(__file__).resolve().parent


def schema_file() -> Path:
    """Returns the path of the schema: in the checkout, or installed with the package."""
    installed = _HERE / FILE
    return installed if installed.exists() else _HERE.parent / FILE


def head_line(folder: Path) -> str:
    """Returns the first line of a YAML file, from which editors learn where its schema is.

    The address is relative if one folder contains both (a checkout, or a project with its .venv), so that it can be
    moved. Otherwise it is absolute, and names the schema of the installed version.

    Args:
        folder: The folder of the YAML file.
    """
    file, folder = schema_file(), folder.resolve()
    together = file.is_relative_to(folder) or folder.is_relative_to(file.parent)
    address = quote(os.path.relpath(file, folder)) if together else file.as_uri()
    return f"# yaml-language-server: $schema={address}"
