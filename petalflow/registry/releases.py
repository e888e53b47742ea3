"""What is in a registry."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError

log = logging.getLogger(__name__)

RELEASE_FILE = "release.json"
# What the dataset was like that a release was made of, for when the dataset itself is gone.
DATASET_STATISTICS_FILE = "dataset_statistics.json"
# Which images a release was trained on: later candidates are not compared with it on them.
TRAINING_IMAGES_FILE = "training_images.sha256"
# On object stores this file is uploaded last, so a version without it is not there yet.
VISIBLE_BY = "saved_model.pb"
_DIGEST_BYTES = 32
# Without these, nobody could say whether anything is new, or compare it with a candidate.
_NEEDED = {"run_id", "class_names", "fingerprint", "settings", "code_version"}


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

    def for_record(self) -> dict[str, Any]:
        """Returns what the record of its run says of it."""
        return {"uri": self.uri, "version": self.version, "name": self.uri.rstrip("/").split("/")[-2]}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names, in the order of its scores."""
        return tuple(self.lineage["class_names"])


def releases(registry_uri: str, name: str) -> list[Release]:
    """Returns the releases of a name, the oldest first; empty if there is none.

    Raises:
        UsageError: If one of them does not say what it was made from.
    """
    return list(_newest_first(registry_uri, name))[::-1]


def live(registry_uri: str, name: str, besides_run: str | None = None) -> Release | None:
    """Returns the release with the highest version, or None.

    Args:
        registry_uri: The registry.
        name: The name that is released under.
        besides_run: A run whose own release does not count.

    Raises:
        UsageError: If it does not say what it was made from.
    """
    return next((release for release in _newest_first(registry_uri, name) if release.run_id != besides_run), None)


def withdrawn(registry_uri: str, name: str, live: Release) -> list[Release]:
    """Returns the releases that were rolled back, if that is what the live one does; the newest first."""
    since = live.lineage.get("rolled_back_from")
    if since is None:
        return []
    later = itertools.takewhile(lambda release: release.version > since, _newest_first(registry_uri, name))
    return [release for release in later if release.version < live.version]


def numbers(registry_uri: str, name: str) -> list[int]:
    """Returns the numbers that are taken, the highest first: also by what is not a release yet."""
    folders = storage.list_folders(storage.join(registry_uri, name))
    return sorted((int(version) for version in folders if version.isdecimal()), reverse=True)


def open_release(uri: str) -> Release:
    """Returns the release in a folder.

    Raises:
        UsageError: If there is none, or it does not say what it was made from.
    """
    version = uri.rstrip("/").rsplit("/", 1)[-1]
    if not version.isdecimal() or not storage.exists(storage.join(uri, VISIBLE_BY)):
        raise UsageError(
            f"{uri} is no release; give REGISTRY/NAME/VERSION, a folder that holds {RELEASE_FILE}, or REGISTRY/NAME "
            "where the live one is meant"
        )
    return Release(uri, int(version), _read_lineage(uri))


def find_release(address: str) -> Release:
    """Returns the release at REGISTRY/NAME/VERSION, or the live one of REGISTRY/NAME.

    Raises:
        UsageError: If there is none.
    """
    registry_uri, _, name = address.rstrip("/").rpartition("/")
    return (live(registry_uri or ".", name) if name else None) or open_release(address)


def write_training_hashes(hashes: Iterable[str]) -> bytes:
    """Returns what a release's file holds: SHA-256 digests of 32 bytes each, ascending.

    Args:
        hashes: Of the images' contents in the source, as hexadecimal digits.
    """
    return b"".join(sorted({bytes.fromhex(sha256) for sha256 in hashes}))


def read_training_hashes(release: Release) -> frozenset[str] | None:
    """Returns the hashes of the images that a release was trained on, None if it does not say."""
    address = storage.join(release.uri, TRAINING_IMAGES_FILE)
    if not storage.is_file(address):
        return None
    data = storage.read_bytes(address)
    return frozenset(data[at : at + _DIGEST_BYTES].hex() for at in range(0, len(data), _DIGEST_BYTES))


def training_hashes_at(uri: str) -> frozenset[str] | None:
    """Returns the hashes of the images that the release in a folder was trained on; None if that is not known any more.

    Args:
        uri: Of a release that a training began with; it may be gone since.
    """
    try:
        return read_training_hashes(open_release(uri))
    except PetalflowError as error:
        log.warning("which images %s was trained on is not known: %s", uri, error)
        return None


def _newest_first(registry_uri: str, name: str) -> Iterator[Release]:
    for version in numbers(registry_uri, name):
        uri = storage.join(registry_uri, name, str(version))
        if storage.exists(storage.join(uri, VISIBLE_BY)):
            yield open_release(uri)


def _read_lineage(uri: str) -> dict[str, Any]:
    file = storage.join(uri, RELEASE_FILE)
    try:
        lineage = storage.read_json(file)
    except FileNotFoundError:
        lineage, lacks = None, "it has no release.json"
    except ValueError:
        lineage, lacks = None, "its release.json is not JSON"
    else:
        missing = sorted(_NEEDED - set(lineage)) if isinstance(lineage, dict) else sorted(_NEEDED)
        lacks = f"its release.json has no {', '.join(missing)}" if missing else ""
    if lacks:
        raise UsageError(f"{uri} does not say what it was made from ({lacks}); move it out of the registry")
    return dict(lineage)
