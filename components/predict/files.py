"""The images to classify: files as named, and all images below the folders named."""

import logging
import mimetypes
from collections.abc import Iterator, Sequence

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.tree import Folder, is_hidden

log = logging.getLogger(__name__)


def find_images(addresses: Sequence[str]) -> list[str]:
    """Returns the addresses of images, with each folder replaced by the images below it, sorted by name.

    Hidden files, and files whose names say that they are something else (`labels.csv`), are left out of folders and
    counted in the log. A file that is named itself is always returned.

    Args:
        addresses: Files and folders; a remote folder ends with a slash.

    Raises:
        UsageError: If a folder contains no image.
    """
    return [image for address in addresses for image in _images(address)]


def _images(address: str) -> Iterator[str]:
    if not _is_folder(address):
        yield address
        return
    names = [file.name for file in Folder(address).files()]
    images = [name for name in names if not is_hidden(name) and _may_be_image(name)]
    if not images:
        raise UsageError(f"{address} contains no images")
    if len(images) < len(names):
        log.info("left out of %s: %d hidden or not named like images", address, len(names) - len(images))
    yield from (storage.join(address, name) for name in images)


def _is_folder(address: str) -> bool:
    # Asking a store about each of many files would take a request each.
    return storage.local_path(address).is_dir() if storage.is_local(address) else address.endswith("/")


def _may_be_image(name: str) -> bool:
    kind, compression = mimetypes.guess_type(name)
    return compression is None and (kind is None or kind.startswith("image/"))
