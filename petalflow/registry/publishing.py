"""Publishing a new version, which becomes visible in one step."""

import os
import string
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from petalflow import clock, storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.registry.releases import RELEASE_FILE, VISIBLE_BY, Release, numbers, open_release
from petalflow.storage.complete import MARKER

_NAME_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-_")
# A release has a lineage of its own, and the marker lists the files of the folder it was copied from.
_NOT_COPIED = (RELEASE_FILE, MARKER)
# Releases read at a time; most of the time is spent waiting for the store.
_THREADS = 16


def publish(
    folder: str, lineage: Mapping[str, Any], registry_uri: str, name: str, files: Mapping[str, bytes] = {}
) -> Release:
    """Publishes a folder as the next version; calling it again for the same run changes nothing.

    Args:
        folder: The folder to publish, with `saved_model.pb` at its top.
        lineage: The contents of release.json: "run_id", and what the release was made of.
        registry_uri: The registry.
        name: The name to release under.
        files: Small files to add to the release: name -> contents.

    Returns:
        The new release, or the one that this run published before.

    Raises:
        PetalflowError: If the folder is not an export.
        UsageError: If the registry cannot be written to.
    """
    check_name("the name", name)
    check_name("the run id", lineage["run_id"])
    if not storage.exists(storage.join(folder, VISIBLE_BY)):
        raise PetalflowError(f"{folder} is not an export, since it has no {VISIBLE_BY}; export again")
    begun = _find_version(registry_uri, name, lineage["run_id"])
    before = _visible_release(registry_uri, name, begun)
    if before:
        return before
    try:
        while True:
            version = begun or _next_version(registry_uri, name)
            uri = _publish_as(version, folder, lineage, registry_uri, name, files)
            if uri:
                return open_release(uri)
            begun = None
    except OSError as error:
        if full := storage.no_room(error, storage.join(registry_uri, name)):
            raise full from None
        raise UsageError(f"cannot write to the registry {registry_uri}: {error.strerror or error}") from None


def released_by(registry_uri: str, name: str, run_id: str) -> Release | None:
    """Returns the release that a run published, or None."""
    return _visible_release(registry_uri, name, _find_version(registry_uri, name, run_id))


def check_name(what: str, name: str) -> None:
    """Checks a name that becomes a folder in a registry; object stores and TF Serving are strict about them.

    Args:
        what: What is named, for the message.
        name: The name.

    Raises:
        UsageError: If it is empty or contains other characters than letters, digits, - and _.
    """
    if not name or not set(name) <= _NAME_CHARACTERS:
        raise UsageError(f"{what} {name!r} may contain only letters, digits, - and _")


def roll_back(registry_uri: str, name: str, version: int, run_id: str) -> Release:
    """Publishes the files of an earlier version as the next one.

    Args:
        registry_uri: The registry.
        name: The name of the releases.
        version: The version to go back to.
        run_id: The run that rolls back; calling it again for the same run changes nothing.

    Raises:
        UsageError: If the version does not exist.
    """
    old = open_release(storage.join(registry_uri, name, str(version)))
    changes = {"run_id": run_id, "rolled_back_from": version, "released_at": clock.stamp()}
    return publish(old.uri, {**old.lineage, **changes}, registry_uri, name)


def _visible_release(registry_uri: str, name: str, version: int | None) -> Release | None:
    uri = storage.join(registry_uri, name, str(version))
    return open_release(uri) if version and storage.exists(storage.join(uri, VISIBLE_BY)) else None


def _publish_as(
    version: int, folder: str, lineage: Mapping[str, Any], registry_uri: str, name: str, files: Mapping[str, bytes]
) -> str | None:
    """Returns the new release's address, or None if another run has taken the number in the meantime."""
    home = storage.join(registry_uri, name)
    uri = storage.join(home, str(version))
    made = {**lineage, "version": version, "name": name}
    if not storage.is_local(registry_uri):
        # The first run to write the lineage gets the number.
        claim = storage.join(uri, RELEASE_FILE)
        if not storage.create_json(claim, made):
            if storage.read_json(claim)["run_id"] != lineage["run_id"]:
                return None
            storage.write_json(claim, made)  # our own upload was interrupted; the lineage may have changed
        _write_files(uri, files)  # before what makes the release visible
        storage.copy_tree(folder, uri, exclude=_NOT_COPIED, last=VISIBLE_BY)
        return uri
    # The dot hides it from TF Serving, and the run id keeps it apart from those of other runs.
    aside = storage.join(home, f".{lineage['run_id']}")
    storage.remove(aside)  # left by an interrupted attempt
    try:
        storage.copy_tree(folder, aside, exclude=_NOT_COPIED)
        _write_files(aside, files)
        storage.write_json(storage.join(aside, RELEASE_FILE), made)
    except OSError:
        storage.remove(aside)
        raise
    try:
        os.rename(storage.local_path(aside), storage.local_path(uri))
    except OSError:
        if not storage.exists(uri):
            raise
        storage.remove(aside)
        return None
    return uri


def _write_files(address: str, files: Mapping[str, bytes]) -> None:
    for name, contents in files.items():
        storage.write_bytes(storage.join(address, name), contents)


def expected_version(registry_uri: str, name: str, run_id: str) -> int:
    """Returns the version that a run will publish, or has published."""
    return _find_version(registry_uri, name, run_id) or _next_version(registry_uri, name)


def _next_version(registry_uri: str, name: str) -> int:
    return max(numbers(registry_uri, name), default=0) + 1


def _find_version(registry_uri: str, name: str, run_id: str) -> int | None:
    """Returns the version that a run has published or has begun to upload; reads many at a time."""
    versions = numbers(registry_uri, name)
    with ThreadPoolExecutor(_THREADS) as pool:
        run_ids = pool.map(lambda version: _read_run_id(storage.join(registry_uri, name, str(version))), versions)
        return next((version for version, made_by in zip(versions, run_ids, strict=True) if made_by == run_id), None)


def _read_run_id(uri: str) -> str | None:
    try:
        return str(storage.read_json(storage.join(uri, RELEASE_FILE))["run_id"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):  # an error only for those who need the release itself
        return None
