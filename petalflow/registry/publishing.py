"""Making a new version visible in one step."""

import os
import string
from collections.abc import Mapping
from typing import Any

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.registry.releases import RELEASE_FILE, VISIBLE_BY, Release, open_release, releases
from petalflow.storage.complete import MARKER

_NAME_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-_")
# The lineage is written anew; the marker would list a folder that this is not.
_LEFT_OUT = (RELEASE_FILE, MARKER)


def publish(folder: str, lineage: Mapping[str, Any], registry_uri: str, name: str) -> Release:
    """Publishes a folder as the next version; once a run, however often it is called.

    Args:
        folder: What to publish; `saved_model.pb` at its top.
        lineage: What release.json is to hold; "run_id" and "class_names" at least.
        registry_uri: The registry.
        name: The name to release under.

    Returns:
        The new release, or the one that this run made before.

    Raises:
        PetalflowError: If the folder is no export.
        UsageError: If the registry cannot be written.
    """
    check_name("--name", name)
    check_name("--run-id", lineage["run_id"])
    if not storage.exists(storage.join(folder, VISIBLE_BY)):
        raise PetalflowError(f"{folder} has no {VISIBLE_BY}, so it is no export; export again")
    for release in releases(registry_uri, name):
        if release.run_id == lineage["run_id"]:
            return release
    try:
        while True:
            uri = _publish_next(folder, lineage, registry_uri, name)
            if uri:
                return open_release(uri)
    except OSError as error:
        raise UsageError(f"cannot write to the registry {registry_uri}: {error.strerror or error}") from None


def check_name(what: str, name: str) -> None:
    """Checks a name that becomes a folder.

    Raises:
        UsageError: If it cannot be a folder everywhere: object stores and TF Serving are strict.
    """
    if not name or not set(name) <= _NAME_CHARACTERS:
        raise UsageError(f"{what} {name!r} may hold letters, digits, - and _ only")


def roll_back(registry_uri: str, name: str, version: int, run_id: str) -> Release:
    """Publishes the bytes of an earlier version as the next one.

    Args:
        registry_uri: The registry.
        name: The name.
        version: The version to return to.
        run_id: Names this rollback; called again with it, nothing happens.

    Raises:
        UsageError: If there is no such version.
    """
    old = open_release(storage.join(registry_uri, name, str(version)))
    return publish(old.uri, {**old.lineage, "run_id": run_id, "rolled_back_from": version}, registry_uri, name)


def _publish_next(folder: str, lineage: Mapping[str, Any], registry_uri: str, name: str) -> str | None:
    """Returns the new release's URI, or None if another run took its number meanwhile."""
    home = storage.join(registry_uri, name)
    version = _next_version(home, lineage["run_id"])
    uri = storage.join(home, str(version))
    made = {**lineage, "version": version, "name": name}
    if not storage.is_local(registry_uri):
        # Who writes the lineage first has the number.
        claim = storage.join(uri, RELEASE_FILE)
        if not storage.create_json(claim, made) and storage.read_json(claim)["run_id"] != lineage["run_id"]:
            return None
        storage.copy_tree(folder, uri, besides=_LEFT_OUT, last=VISIBLE_BY)
        return uri
    # The dot keeps TF Serving from taking it for a version; the run id, other runs from it.
    aside = storage.join(home, f".{lineage['run_id']}")
    storage.remove(aside)  # left by an attempt that was killed
    storage.copy_tree(folder, aside, besides=_LEFT_OUT)
    storage.write_json(storage.join(aside, RELEASE_FILE), made)
    try:
        os.rename(storage.local_path(aside), storage.local_path(uri))
    except OSError:
        if not storage.exists(uri):
            raise
        storage.remove(aside)
        return None
    return uri


def _next_version(home: str, run_id: str) -> int:
    taken = sorted(int(version) for version in storage.list_folders(home) if version.isdecimal())
    for version in taken:
        lineage = storage.join(home, str(version), RELEASE_FILE)
        if storage.exists(lineage) and storage.read_json(lineage)["run_id"] == run_id:
            return version  # an upload of this run that was killed: it goes on there
    return taken[-1] + 1 if taken else 1
