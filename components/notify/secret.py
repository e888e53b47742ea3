"""References to secrets. Settings become parameters that anybody can read, so a setting only names where a secret is.

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
    """Checks that a setting holds a reference.

    Raises:
        ValueError: If it does not; the value may be the secret itself, so the message does not repeat it.
    """
    if not isinstance(reference, str) or not (_VARIABLE.fullmatch(reference) or _FILE.fullmatch(reference)):
        raise ValueError(
            f"{setting} is a secret and must not be in the settings: put it into an environment variable and set "
            f"{setting}=env:NAME, or into a file and set {setting}=file:ADDRESS (an absolute path, or gs://...)"
        )


def variable(reference: str) -> str | None:
    """Returns the environment variable of a reference, or None."""
    match = _VARIABLE.fullmatch(reference)
    return match[1] if match else None


def file(reference: str) -> str | None:
    """Returns the address of the file of a reference, or None."""
    match = _FILE.fullmatch(reference)
    return match[1] if match else None


def reveal(setting: str, reference: str) -> str:
    """Returns a secret.

    Args:
        setting: The setting, for the message.
        reference: Where the secret is.

    Raises:
        PetalflowError: If it is missing or empty.
    """
    name, address = variable(reference), file(reference)
    secret = os.environ.get(name, "") if name else _read(setting, address or "")
    if not secret.strip():
        problem = f"the environment variable {name} is not set where the steps run" if name else f"{address} is empty"
        raise PetalflowError(f"{setting}={reference}: {problem}")
    return secret.strip()


def _read(setting: str, address: str) -> str:
    try:
        return storage.read_bytes(address).decode()
    except OSError as error:
        raise PetalflowError(f"{setting}: cannot read {address} ({error.strerror or 'it does not exist'})") from None
    except UnicodeDecodeError:
        raise PetalflowError(f"{setting}: {address} is not UTF-8 text") from None
