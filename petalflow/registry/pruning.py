"""Removing old versions, each in one step.

Only the oldest are removed, so the highest number stays and no number is used twice.
"""

import itertools
import os
import re

from petalflow import storage
from petalflow.registry.releases import RELEASE_FILE, VISIBLE_BY, numbers, open_release

# A server of the registry does not mistake such a folder for a version.
_BEING_REMOVED = ".removed-"


def prune(registry_uri: str, name: str, keep: int) -> list[int]:
    """Removes all but the newest versions, and what an interrupted call left half removed.

    The live version stays and, if it is a rollback, so do all versions from the one it went back to: a run has to know
    what was withdrawn (`releases.withdrawn`).

    Args:
        registry_uri: The registry.
        name: The name of the releases.
        keep: The number of releases to keep, at least 1.

    Returns:
        The versions removed, the oldest first.

    Raises:
        UsageError: If the lineage of the live release is missing or incomplete.
    """
    home = storage.join(registry_uri, name)
    for folder in storage.list_folders(home):
        if re.fullmatch(re.escape(_BEING_REMOVED) + "[0-9]+", folder):
            storage.remove(storage.join(home, folder))
    versions = numbers(registry_uri, name)
    visible = (version for version in versions if storage.exists(storage.join(home, str(version), VISIBLE_BY)))
    newest = list(itertools.islice(visible, keep))
    if len(newest) < keep:
        return []
    back_to = open_release(storage.join(home, str(newest[0]))).lineage.get("rolled_back_from", newest[-1])
    older = [version for version in reversed(versions) if version < min(newest[-1], back_to)]
    # On an object store one may have lost files to an interrupted removal, which deletes the lineage last.
    removed = [version for version in older if storage.exists(storage.join(home, str(version), RELEASE_FILE))]
    for version in removed:
        _remove(home, version)
    return removed


def _remove(home: str, version: int) -> None:
    uri = storage.join(home, str(version))
    if storage.is_local(home):
        aside = storage.join(home, f"{_BEING_REMOVED}{version}")
        os.rename(storage.local_path(uri), storage.local_path(aside))
        storage.remove(aside)
        return
    storage.remove(storage.join(uri, VISIBLE_BY))
    for file in storage.list_files(uri):
        if file.name != RELEASE_FILE:
            storage.remove(storage.join(uri, file.name))
    storage.remove(uri)
