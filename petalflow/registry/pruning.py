"""Removing old versions: each vanishes in one step, and none that anybody still asks about.

What is removed is the oldest, so the highest number stays, and no number is ever used again.
"""

import itertools
import os
import re

from petalflow import storage
from petalflow.registry.releases import RELEASE_FILE, VISIBLE_BY, numbers, open_release

# A server of the registry does not take it for a version.
_BEING_REMOVED = ".removed-"


def prune(registry_uri: str, name: str, keep: int) -> list[int]:
    """Removes versions beyond the newest; what an earlier call that was killed had begun to remove goes too.

    Kept are the live one and, where it is a rollback, all from the version that it went back to: whoever looks for
    something new has to know what was withdrawn (`releases.withdrawn`).

    Args:
        registry_uri: The registry.
        name: The name.
        keep: How many releases to keep, at least 1.

    Returns:
        The versions removed, the oldest first.

    Raises:
        UsageError: If the live release does not say what it was made from.
    """
    home = storage.join(registry_uri, name)
    for folder in storage.list_folders(home):
        if re.fullmatch(re.escape(_BEING_REMOVED) + "[0-9]+", folder):
            storage.remove(storage.join(home, folder))
    taken = numbers(registry_uri, name)
    visible = (version for version in taken if storage.exists(storage.join(home, str(version), VISIBLE_BY)))
    newest = list(itertools.islice(visible, keep))
    if len(newest) < keep:
        return []
    back_to = open_release(storage.join(home, str(newest[0]))).lineage.get("rolled_back_from", newest[-1])
    older = [version for version in reversed(taken) if version < min(newest[-1], back_to)]
    # On an object store that may be one that lost its first file to a removal that was killed; it had its lineage last.
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
