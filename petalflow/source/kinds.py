"""The kinds of sources, and which one a folder is."""

from collections.abc import Callable
from typing import Protocol

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import class_folders, idx
from petalflow.source.listing import Item, Listing

# Given an item of the source, its image file's bytes.
Reader = Callable[[Item], bytes]


class Kind(Protocol):
    """What a module that knows one kind of source offers."""

    def check(self, address: str) -> None:
        """Raises UsageError for what is plainly wrong, without reading images."""

    def list_items(self, address: str) -> Listing:
        """Returns the listing, every image hashed."""

    def open_reader(self, address: str) -> Reader:
        """Returns a reader of the source's images."""


def check_source(address: str) -> None:
    """Looks at a source without reading it, so that what is plainly wrong is said before work starts.

    Raises:
        UsageError: If it cannot be read, is missing, empty, of no known kind, or has fewer than two classes.
    """
    storage.check_readable(address)
    _check(address)


def list_source(address: str) -> Listing:
    """Returns the listing of a source, hashing every image in it.

    Raises:
        UsageError: As `check_source`, or if a file of it is broken.
    """
    _check(address)
    return _kind_of(address).list_items(address)


def open_source(address: str) -> Reader:
    """Returns a function from an item of the source to the bytes of its image file."""
    return _kind_of(address).open_reader(address)


def _check(address: str) -> None:
    if not storage.exists(address):
        raise UsageError(f"source {address} does not exist; give a folder with one folder of images a class")
    _kind_of(address).check(address)


def _kind_of(address: str) -> Kind:
    return idx if idx.recognises(address) else class_folders
