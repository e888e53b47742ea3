"""The addresses of a run, checked before it starts from where the command stands."""

import os
from pathlib import Path

from components.snapshot.arrival import lacking
from petalflow import clock, source, storage
from petalflow.errors import UsageError
from petalflow.source import dated
from petalflow.source.tfds import named as tfds_named
from pipeline.request import Request


def check_addresses(request: Request, out: Path) -> None:
    """Checks that the source can be read, and that all else can be written and lies apart from it.

    Raises:
        UsageError: Naming the first address that does not do.
    """
    _check_source(request)
    address = source_now(request)
    for what, place in {"--out": str(out), **places(request)}.items():
        _check_writable(what, place)
        if address and not tfds_named.is_named(address):
            _check_apart(what, place, "source", address)
    # A model server watches the registry, and would find a run's work among the versions.
    _check_apart("--out", str(out), "registry", request.registry)


def places(request: Request) -> dict[str, str]:
    """Returns what a run writes to, beside its folder: the option -> the address."""
    return {"--registry": request.registry, "--state": request.state_uri, "--record": request.record_uri}


def source_home(request: Request) -> dict[str, str]:
    """Returns the folder in which the source is, whatever the date: what says so -> the address."""
    if tfds_named.is_named(request.source):
        return {"convert.tfds_data_dir": tfds_named.home(request.source, request.configuration.convert)}
    return {"source": dated.fixed_part(request.source)}


def source_now(request: Request) -> str | None:
    """Returns the address that the source has now, there or not; None if it is the latest of folders to come.

    Raises:
        UsageError: If the address is wrong, or there is no folder to be the latest and the run does not wait for one.
    """
    try:
        return dated.resolve(request.source, clock.now(), request.configuration.snapshot.timezone)
    except dated.NoMatch:
        if _may_be_missing(request):
            return None
        raise


def _check_source(request: Request) -> None:
    """Checks a source as far as it is there; one that may come later needs a place to come to."""
    folder = dated.fixed_part(request.source)
    storage.check_readable(folder)
    if dated.is_dated(request.source):
        _check_folder(request.source, folder)
    address, settings = source_now(request), request.configuration.snapshot
    if address is None:
        return
    lacks = lacking(address, settings)
    if lacks and (_may_be_missing(request) or (request.later and dated.is_of_today(request.source))):
        return
    if lacks and dated.is_dated(request.source):
        raise UsageError(f"{lacks}; wait for it: snapshot.source_wait_minutes, or do without: snapshot.if_missing=skip")
    source.check_source(address, request.configuration.convert)
    if lacks:
        raise UsageError(f"{lacks}; let whoever fills it write that file, or correct snapshot.ready_file")


def _check_folder(address: str, folder: str) -> None:
    if not storage.is_local(folder):
        return
    path = storage.local_path(folder)
    if not (path.is_dir() and os.access(path, os.R_OK | os.X_OK)):
        raise UsageError(
            f"source {address}: there is no folder {folder} that can be read; make it, or correct the path"
        )


def _may_be_missing(request: Request) -> bool:
    settings = request.configuration.snapshot
    return settings.source_wait_minutes > 0 or settings.if_missing == "skip"


def _check_writable(what: str, address: str) -> None:
    try:
        storage.check_writable(address)
    except UsageError as error:
        raise UsageError(f"{what} {error}") from None


def _check_apart(what: str, address: str, outer_what: str, outer_address: str) -> None:
    if not (storage.is_local(address) and storage.is_local(outer_address)):
        return
    inner, outer = (storage.local_path(place).resolve() for place in (address, outer_address))
    if inner.is_relative_to(outer):
        raise UsageError(
            f"{what} {address} lies in the {outer_what} {outer_address}, and would be read as part of it; move it"
        )
