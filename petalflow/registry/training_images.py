"""Which images a release was trained on: later candidates are not compared with it on them."""

import logging
from collections.abc import Iterable

from petalflow import storage
from petalflow.errors import PetalflowError
from petalflow.registry.releases import Release, open_release

log = logging.getLogger(__name__)

TRAINING_IMAGES_FILE = "training_images.sha256"
_DIGEST_BYTES = 32


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
