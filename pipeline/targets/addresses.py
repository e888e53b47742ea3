"""Checking the addresses of a run, from this machine, before it starts."""

import os
from pathlib import Path

from petalflow import clock, storage
from petalflow.errors import UsageError
from petalflow.source import NoMatch, Source
from pipeline.request import Request


def check_addresses(request: Request, out: Path) -> None:
    """Checks that the source can be read, and that all other addresses can be written and lie outside it.

    Raises:
        UsageError: If an address is unsuitable; the message names the first.
    """
    _check_source(request)
    source = current_source(request)
    for what, address in {"--out": str(out), **written_addresses(request)}.items():
        _check_writable(what, address)
        if source:
            _check_apart(what, address, "source", source.location)
    # A model server watches the registry, and would find a run's files among the versions.
    _check_apart("--out", str(out), "registry", request.registry)


def written_addresses(request: Request) -> dict[str, str]:
    """Returns the addresses that a run writes to besides its folder: the option -> the address."""
    return {"--registry": request.registry, "--state": request.state_uri, "--record": request.record_uri}


def source_location(request: Request) -> dict[str, str]:
    """Returns the folder that contains the source on any date: the option or setting -> the address."""
    source = request.source_pattern.fixed_part
    return {source.location_setting: source.location}


def current_source(request: Request) -> Source | None:
    """Returns the source as of now, which need not exist; None if it is the latest of folders that do not exist yet.

    Raises:
        UsageError: If the address is invalid, or no folder exists yet and the run would not wait for one.
    """
    try:
        return request.source_pattern.at(clock.now(), request.configuration.snapshot.timezone)
    except NoMatch:
        if _may_be_missing(request):
            return None
        raise


def _check_source(request: Request) -> None:
    """Checks the source if it exists; one that may arrive later needs a folder to arrive in."""
    pattern = request.source_pattern
    folder = pattern.fixed_part.location
    storage.check_readable(folder)
    if pattern.is_dated:
        _check_folder(request.source, folder)
    source = current_source(request)
    if source is None:
        return
    lacks = source.why_not_ready(request.configuration.snapshot.ready_file)
    if lacks and (_may_be_missing(request) or (request.later and pattern.is_daily)):
        return
    if lacks and pattern.is_dated:
        raise UsageError(
            f"{lacks}; set snapshot.source_wait_minutes to wait for it, or snapshot.if_missing=skip to skip the run"
        )
    source.check()
    if lacks:
        raise UsageError(f"{lacks}; have that file written once the source is complete, or correct snapshot.ready_file")


def _check_folder(address: str, folder: str) -> None:
    if not storage.is_local(folder):
        return
    path = storage.local_path(folder)
    if not (path.is_dir() and os.access(path, os.R_OK | os.X_OK)):
        raise UsageError(
            f"source {address}: the folder {folder} does not exist or cannot be read; create it, or correct the path"
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
    inner, outer = (storage.local_path(each).resolve() for each in (address, outer_address))
    if inner.is_relative_to(outer):
        raise UsageError(
            f"{what} {address} is inside the {outer_what} {outer_address} and would be read as part of it; move it"
        )
