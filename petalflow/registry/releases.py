"""Reading a registry: its releases, and the one that is live."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError

log = logging.getLogger(__name__)

RELEASE_FILE = "release.json"
MODEL_CARD_FILE = "model_card.md"
# The statistics of the dataset that a release was trained on, which outlive the dataset.
DATASET_STATISTICS_FILE = "dataset_statistics.json"
# The images that a release was trained on, which later candidates must not be compared with it on.
TRAINING_IMAGES_FILE = "training_images.sha256"
# On object stores this file is uploaded last, so a version without it is not a release yet.
VISIBLE_BY = "saved_model.pb"
_DIGEST_BYTES = 32
# Needed to decide whether anything is new, and to compare a candidate with the release.
_REQUIRED = {"run_id", "class_names", "fingerprint", "settings", "code_version"}


@dataclass(frozen=True)
class Release:
    """One released version.

    Attributes:
        uri: The address of its folder.
        version: Its number, from 1.
        lineage: The contents of release.json: run_id, fingerprint, settings, code_version, metrics...
    """

    uri: str
    version: int
    lineage: dict[str, Any]

    @property
    def run_id(self) -> str:
        """The run that published it."""
        return str(self.lineage["run_id"])

    def for_record(self) -> dict[str, Any]:
        """Returns the entry for the record of its run."""
        return {"uri": self.uri, "version": self.version, "name": self.uri.rstrip("/").split("/")[-2]}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names, in the order of the model's scores."""
        return tuple(self.lineage["class_names"])


def releases(registry_uri: str, name: str) -> list[Release]:
    """Returns the releases of a name, the oldest first.

    Raises:
        UsageError: If the lineage of one is missing or incomplete.
    """
    return list(_newest_first(registry_uri, name))[::-1]


def live(registry_uri: str, name: str, ignored_run: str | None = None) -> Release | None:
    """Returns the release with the highest version, or None.

    Args:
        registry_uri: The registry.
        name: The name of the releases.
        ignored_run: A run whose own release is ignored.

    Raises:
        UsageError: If its lineage is missing or incomplete.
    """
    return next((release for release in _newest_first(registry_uri, name) if release.run_id != ignored_run), None)


def withdrawn(registry_uri: str, name: str, live: Release) -> list[Release]:
    """Returns the releases that the live one withdrew, the newest first; empty unless it is a rollback."""
    since = live.lineage.get("rolled_back_from")
    if since is None:
        return []
    later = itertools.takewhile(lambda release: release.version > since, _newest_first(registry_uri, name))
    return [release for release in later if release.version < live.version]


def numbers(registry_uri: str, name: str) -> list[int]:
    """Returns the version numbers in use, the highest first, including those of unfinished releases."""
    folders = storage.list_folders(storage.join(registry_uri, name))
    return sorted((int(version) for version in folders if version.isdecimal()), reverse=True)


def open_release(uri: str) -> Release:
    """Returns the release in a folder.

    Raises:
        UsageError: If there is no release, or its lineage is missing or incomplete.
    """
    version = uri.rstrip("/").rsplit("/", 1)[-1]
    if not version.isdecimal() or not storage.exists(storage.join(uri, VISIBLE_BY)):
        raise UsageError(
            f"{uri} is not a release; give REGISTRY/NAME/VERSION, a folder that contains {RELEASE_FILE}, or "
            "REGISTRY/NAME for the live release"
        )
    return Release(uri, int(version), _read_lineage(uri))


def find_release(address: str) -> Release:
    """Returns the release at REGISTRY/NAME/VERSION, or the live one of REGISTRY/NAME.

    Raises:
        UsageError: If there is no such release.
    """
    registry_uri, _, name = address.rstrip("/").rpartition("/")
    return (live(registry_uri or ".", name) if name else None) or open_release(address)


def write_training_hashes(hashes: Iterable[str]) -> bytes:
    """Returns the contents of a release's file of training images: SHA-256 digests of 32 bytes each, ascending.

    Args:
        hashes: The SHA-256 of each image file in the source, as hexadecimal digits.
    """
    return b"".join(sorted({bytes.fromhex(sha256) for sha256 in hashes}))


def read_training_hashes(release: Release) -> frozenset[str] | None:
    """Returns the hashes of the images that a release was trained on; None if they were not recorded."""
    address = storage.join(release.uri, TRAINING_IMAGES_FILE)
    if not storage.is_file(address):
        return None
    data = storage.read_bytes(address)
    return frozenset(data[at : at + _DIGEST_BYTES].hex() for at in range(0, len(data), _DIGEST_BYTES))


def training_hashes_at(uri: str) -> frozenset[str] | None:
    """Returns the hashes of the images that the release in a folder was trained on; None if they are unknown.

    Args:
        uri: The address of the release that a training started from; it may have been removed since.
    """
    try:
        return read_training_hashes(open_release(uri))
    except PetalflowError as error:
        log.warning("the training images of %s are unknown: %s", uri, error)
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
        missing = sorted(_REQUIRED - set(lineage)) if isinstance(lineage, dict) else sorted(_REQUIRED)
        lacks = f"its release.json has no {', '.join(missing)}" if missing else ""
    if lacks:
        raise UsageError(f"{uri} does not record what it was made from ({lacks}); move it out of the registry")
    return dict(lineage)
