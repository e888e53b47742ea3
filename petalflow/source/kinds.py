"""The kinds of sources, and which one an address is."""

from collections.abc import Callable
from typing import Protocol

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import class_folders, idx
from petalflow.source.listing import Item, Listing, check_classes
from petalflow.source.options import PLAIN, SourceOptions

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
    storage.check_readable(address)
    _check(address, options)


def list_source(address: str, options: SourceOptions = PLAIN) -> Listing:
    """Returns the listing of a source, hashing every image in it.

    Raises:
        UsageError: As `check_source`, or if a file of it is broken.
    """
    _check(address, options)
    listing = _kind_of(address, options).list_items(address, options)
    check_classes(listing.classes)
    return listing


def open_source(address: str, options: SourceOptions = PLAIN) -> Reader:
    """Returns a function from an item of the source to the bytes of its image file."""
    return _kind_of(address, options).open_reader(address, options)


def _check(address: str, options: SourceOptions) -> None:
    if not storage.exists(address):
        raise UsageError(f"source {address} does not exist; give a folder with one folder of images a class")
    _kind_of(address, options).check(address, options)


def _kind_of(address: str, options: SourceOptions) -> Kind:
    return idx if idx.recognises(address) else class_folders
