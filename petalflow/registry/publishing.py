"""Making a new version visible in one step."""

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
# The lineage is written anew; the marker would list a folder that this is not.
_LEFT_OUT = (RELEASE_FILE, MARKER)
# Of releases looked at at once; what takes long is waiting for answers.
_THREADS = 16


def publish(
    folder: str, lineage: Mapping[str, Any], registry_uri: str, name: str, files: Mapping[str, bytes] = {}
) -> Release:
    """Publishes a folder as the next version; once a run, however often it is called.

    Args:
        folder: What to publish; `saved_model.pb` at its top.
        lineage: What release.json is to hold; "run_id" and all that tells what it was made from.
        registry_uri: The registry.
        name: The name to release under.
        files: Small files to put beside what the folder holds: name -> contents.

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
    begun = _version_of(registry_uri, name, lineage["run_id"])
    before = _visible(registry_uri, name, begun)
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
        raise UsageError(f"cannot write to the registry {registry_uri}: {error.strerror or error}") from None


def released_by(registry_uri: str, name: str, run_id: str) -> Release | None:
    """Returns the release that a run made, if it is visible."""
    return _visible(registry_uri, name, _version_of(registry_uri, name, run_id))


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
    anew = {"run_id": run_id, "rolled_back_from": version, "released_at": clock.stamp()}
    return publish(old.uri, {**old.lineage, **anew}, registry_uri, name)


def _visible(registry_uri: str, name: str, version: int | None) -> Release | None:
    uri = storage.join(registry_uri, name, str(version))
    return open_release(uri) if version and storage.exists(storage.join(uri, VISIBLE_BY)) else None


def _publish_as(
    version: int, folder: str, lineage: Mapping[str, Any], registry_uri: str, name: str, files: Mapping[str, bytes]
) -> str | None:
    """Returns the new release's URI, or None if another run took its number meanwhile."""
    home = storage.join(registry_uri, name)
    uri = storage.join(home, str(version))
    made = {**lineage, "version": version, "name": name}
    if not storage.is_local(registry_uri):
        # Who writes the lineage first has the number.
        claim = storage.join(uri, RELEASE_FILE)
        if not storage.create_json(claim, made):
            if storage.read_json(claim)["run_id"] != lineage["run_id"]:
                return None
            storage.write_json(claim, made)  # an upload of ours was cut off; the photos may be others by now
        _write_files(uri, files)  # before what makes the release visible
        storage.copy_tree(folder, uri, besides=_LEFT_OUT, last=VISIBLE_BY)
        return uri
    # The dot keeps TF Serving from taking it for a version; the run id, other runs from it.
    aside = storage.join(home, f".{lineage['run_id']}")
    storage.remove(aside)  # left by an attempt that was killed
    storage.copy_tree(folder, aside, besides=_LEFT_OUT)
    _write_files(aside, files)
    storage.write_json(storage.join(aside, RELEASE_FILE), made)
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


def _next_version(registry_uri: str, name: str) -> int:
    return max(numbers(registry_uri, name), default=0) + 1


def _version_of(registry_uri: str, name: str, run_id: str) -> int | None:
    """Returns the version that a run has released, or has begun to upload; one look at each, many at a time."""
    versions = numbers(registry_uri, name)
    with ThreadPoolExecutor(_THREADS) as pool:
        run_ids = pool.map(lambda version: _run_of(storage.join(registry_uri, name, str(version))), versions)
        return next((version for version, made_by in zip(versions, run_ids, strict=True) if made_by == run_id), None)


def _run_of(uri: str) -> str | None:
    try:
        return str(storage.read_json(storage.join(uri, RELEASE_FILE))["run_id"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):  # whoever needs to know what it is says so
        return None
