"""The kinds of sources, and which one an address is."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.source import class_folders, file_names, idx
from petalflow.source.archives import archive
from petalflow.source.listing import Item, Listing, check_classes
from petalflow.source.manifests import manifest
from petalflow.source.options import PLAIN, SourceOptions
from petalflow.source.tfds import folder as tfds_folder
from petalflow.source.tfds import named as tfds_named

# Given an item of the source, its image file's bytes.
Reader = Callable[[Item], bytes]


class Kind(Protocol):
    """What a module that knows one kind of source offers."""

    def check(self, address: str, options: SourceOptions) -> None:
        """Raises UsageError for what is plainly wrong, without reading images."""

    def list_items(self, address: str, options: SourceOptions) -> Listing:
        """Returns the listing, every image hashed."""

    def open_reader(self, address: str, options: SourceOptions) -> Reader:
        """Returns a reader of the source's images, safe for threads, which fails if one is not as it was listed."""


def check_source(address: str, options: SourceOptions = PLAIN) -> None:
    """Looks at a source without reading it, so that what is plainly wrong is said before work starts.

    Raises:
        UsageError: If it cannot be read, is missing, empty, of no known kind, or has fewer than two classes.
    """
    storage.check_readable(tfds_named.home(address, options) if tfds_named.is_named(address) else address)
    with _said_plainly(address):
        _check(address, options)


def list_source(address: str, options: SourceOptions = PLAIN) -> Listing:
    """Returns the listing of a source, hashing every image in it.

    Raises:
        UsageError: As `check_source`, or if a file of it is broken.
    """
    with _said_plainly(address):
        _check(address, options)
        listing = _kind_of(address, options).list_items(address, options)
    if len(listing.classes) < 2:
        raise UsageError(f"source {address} has fewer than two classes ({', '.join(listing.classes) or 'none'})")
    check_classes(listing.classes)
    return listing


def open_source(address: str, options: SourceOptions = PLAIN) -> Reader:
    """Returns a function from an item of the source to the bytes of its image file."""
    return _kind_of(address, options).open_reader(address, options)


def _check(address: str, options: SourceOptions) -> None:
    if not tfds_named.is_named(address) and not storage.exists(address):
        raise UsageError(f"source {address} does not exist; give a folder with one folder of images a class")
    kind = _kind_of(address, options)
    if options.label_pattern and kind not in (file_names, archive):
        raise UsageError(f"source {address} says itself what its classes are; do without convert.label_pattern")
    kind.check(address, options)


def _kind_of(address: str, options: SourceOptions) -> Kind:
    if tfds_named.is_named(address):
        return tfds_folder
    if storage.is_file(address):
        return _kind_of_file(address)
    if options.label_pattern:
        return file_names
    if tfds_folder.recognises(address):
        return tfds_folder
    return idx if idx.recognises(address) else class_folders


def _kind_of_file(address: str) -> Kind:
    for kind in (archive, manifest):
        if kind.recognises(address):
            return kind
    raise UsageError(
        f"source {address} is a file, but neither an archive (.zip, .tar, .tar.gz) nor a manifest (.csv, .jsonl); "
        "give one of those, or a folder"
    )


def extent(address: str) -> str:
    """Returns what has to be at hand to read a source: itself, or a manifest's folder, in which its images are."""
    is_manifest = storage.is_file(address) and not archive.recognises(address)
    return (address.rpartition("/")[0] or "/") if is_manifest else address


@contextlib.contextmanager
def _said_plainly(address: str) -> Iterator[None]:
    """Turns what the system says of a file into a line about the source."""
    try:
        yield
    except FileNotFoundError as error:
        what = error.filename or error
        raise PetalflowError(
            f"source {address} changed while it was read: {what} is gone; run again when nothing writes to it"
        ) from None
    except OSError as error:
        if not error.strerror:
            raise
        raise UsageError(
            f"source {address} cannot be read: {error.filename or address}: {error.strerror}; allow it, or remove that"
        ) from None
