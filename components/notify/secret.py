"""Secrets are no settings, since settings become parameters that anybody can read; a setting says where one is found.

env:NAME        an environment variable of the step
file:ADDRESS    a file: an absolute path where the step runs, or gs://... or s3://...
"""

import os
import re

from petalflow import storage
from petalflow.errors import PetalflowError

_VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_FILE = re.compile(r"file:(/.+|(?:gs|gcs|s3)://.+)")


def check_reference(setting: str, reference: object) -> None:
    """Checks that a setting says where its secret is.

    Raises:
        ValueError: If not; what it holds may be the secret itself, and is not repeated.
    """
    if not isinstance(reference, str) or not (_VARIABLE.fullmatch(reference) or _FILE.fullmatch(reference)):
        raise ValueError(
            f"{setting} is a secret, so it is not given itself: put it into an environment variable and set "
            f"{setting}=env:NAME, or into a file and set {setting}=file:ADDRESS (an absolute path, or gs://...)"
        )


def variable(reference: str) -> str | None:
    """Returns the environment variable that holds a secret, if one does."""
    match = _VARIABLE.fullmatch(reference)
    return match[1] if match else None


def file(reference: str) -> str | None:
    """Returns the address of the file that holds a secret, if one does."""
    match = _FILE.fullmatch(reference)
    return match[1] if match else None


def reveal(setting: str, reference: str) -> str:
    """Returns a secret.

    Args:
        setting: Whose it is.
        reference: Where it is found.

    Raises:
        PetalflowError: If it is not there.
    """
    name, address = variable(reference), file(reference)
    secret = os.environ.get(name, "") if name else _read(setting, address or "")
    if not secret.strip():
        where = f"the environment variable {name} is not set" if name else f"{address} is empty"
        raise PetalflowError(f"{setting}={reference}: {where}, where the steps run")
    return secret.strip()


def _read(setting: str, address: str) -> str:
    try:
        return storage.read_bytes(address).decode()
    except OSError as error:
        raise PetalflowError(f"{setting}: cannot read {address} ({error.strerror or 'it is not there'})") from None
    except UnicodeDecodeError:
        raise PetalflowError(f"{setting}: {address} is no text") from None
