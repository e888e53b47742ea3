"""Which files a manifest may name, depending on where it is."""

import posixpath
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.manifests.row import Resolver

_STORES = ("gs", "gcs", "s3")
_URI = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://(?P<bucket>[^/]*)/?(?P<name>.*)", re.DOTALL)


def resolver_beside(manifest: str) -> Resolver:
    """Returns the function that finds the address of an image that a manifest at this address names."""
    return _resolve_local if storage.is_local(manifest) else _resolver_on_store(manifest.partition("://")[0])


def _resolve_local(named: str) -> str:
    """Returns the address of an image that a local manifest names: any file of this machine or on a store."""
    if "://" not in named:
        return _plain(named)
    return _plain(named.removeprefix("file://")) if named.startswith("file:///") else _uri(named, _STORES)


def _resolver_on_store(scheme: str) -> Resolver:
    """Returns the function for a manifest on a store, which may name files below it, or on any store."""

    def resolve(named: str) -> str:
        return _uri(named, (*_STORES, scheme)) if "://" in named else _confined(named)

    return resolve


def resolver_in_tree(folder: str) -> Resolver:
    """Returns the function for a manifest in this folder of a tree, which may name files below it."""

    def resolve(named: str) -> str:
        if "://" in named:
            raise UsageError(
                f"{named!r} is outside the archive; a manifest in an archive may name only files inside it"
            )
        return posixpath.join(folder, _confined(named))

    return resolve


def _plain(path: str) -> str:
    """Returns a path without redundant parts; its ".." stay, since a folder before them may be a link."""
    return str(PurePosixPath(path)) if "//" in path or "./" in path or path.endswith(("/", "/.")) else path


def _confined(path: str) -> str:
    plain = posixpath.normpath(path)
    if plain.startswith("/") or plain == ".." or plain.startswith("../"):
        raise UsageError(f"{path!r} is not below the manifest; here, a path may name only files below it")
    return plain


def _uri(uri: str, schemes: Iterable[str]) -> str:
    match = _URI.fullmatch(uri)
    if match is None or match["scheme"] not in schemes:
        known = ", ".join(f"{scheme}://" for scheme in dict.fromkeys(schemes))
        raise UsageError(f"{uri!r} is not an address that a manifest may name; use one that begins with {known}")
    if not match["bucket"] or not match["name"]:
        raise UsageError(f"{uri!r} does not name a file; write it like {match['scheme']}://bucket/folder/a.jpg")
    return uri
