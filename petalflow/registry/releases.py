"""What is in a registry."""

from dataclasses import dataclass
from typing import Any

from petalflow import storage
from petalflow.errors import UsageError

RELEASE_FILE = "release.json"
# On object stores this file is uploaded last, so a version without it is not there yet.
VISIBLE_BY = "saved_model.pb"


@dataclass(frozen=True)
class Release:
    """One released version.

    Attributes:
        uri: Its folder.
        version: Its number, from 1.
        lineage: What release.json holds: run_id, fingerprint, settings, code_version, metrics...
    """

    uri: str
    version: int
    lineage: dict[str, Any]

    @property
    def run_id(self) -> str:
        """The run that released it."""
        return str(self.lineage["run_id"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names, in the order of its scores."""
        return tuple(self.lineage["class_names"])


def releases(registry_uri: str, name: str) -> list[Release]:
    """Returns the releases of a name, the oldest first; empty if there is none."""
    folder = storage.join(registry_uri, name)
    versions = sorted(int(version) for version in storage.list_folders(folder) if version.isdecimal())
    uris = [storage.join(folder, str(version)) for version in versions]
    return [open_release(uri) for uri in uris if storage.exists(storage.join(uri, VISIBLE_BY))]


def live(registry_uri: str, name: str, besides_run: str | None = None) -> Release | None:
    """Returns the release with the highest version, or None.

    Args:
        registry_uri: The registry.
        name: The name that is released under.
        besides_run: A run whose own release does not count.
    """
    others = [release for release in releases(registry_uri, name) if release.run_id != besides_run]
    return others[-1] if others else None


def open_release(uri: str) -> Release:
    """Returns the release in a folder.

    Raises:
        UsageError: If there is none.
    """
    lineage = storage.join(uri, RELEASE_FILE)
    version = uri.rstrip("/").rsplit("/", 1)[-1]
    whole = all(storage.exists(storage.join(uri, name)) for name in (RELEASE_FILE, VISIBLE_BY))
    if not whole or not version.isdecimal():
        raise UsageError(f"{uri} is no release; give REGISTRY/NAME/VERSION, a folder that holds {RELEASE_FILE}")
    return Release(uri, int(version), storage.read_json(lineage))
