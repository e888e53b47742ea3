"""The addresses of a run, checked before it starts from where the command stands."""

import os
from pathlib import Path

from petalflow import clock, storage
from petalflow.errors import UsageError
from petalflow.source import NoMatch, Source
from pipeline.request import Request


def check_addresses(request: Request, out: Path) -> None:
    """Checks that the source can be read, and that all else can be written and lies apart from it.

    Raises:
        UsageError: Naming the first address that does not do.
    """
    _check_source(request)
    source = current_source(request)
    for what, place in {"--out": str(out), **written_addresses(request)}.items():
        _check_writable(what, place)
        if source:
            _check_apart(what, place, "source", source.location)
    # A model server watches the registry, and would find a run's work among the versions.
    _check_apart("--out", str(out), "registry", request.registry)


def written_addresses(request: Request) -> dict[str, str]:
    """Returns what a run writes to, beside its folder: the option -> the address."""
    return {"--registry": request.registry, "--state": request.state_uri, "--record": request.record_uri}


def source_location(request: Request) -> dict[str, str]:
    """Returns the folder in which the source is, whatever the date: what names it -> the address."""
    source = request.source_pattern.fixed_part
    return {source.location_setting: source.location}


def current_source(request: Request) -> Source | None:
    """Returns the source as it is now, there or not; None if it is the latest of folders to come.

    Raises:
        UsageError: If the address is wrong, or there is no folder to be the latest and the run does not wait for one.
    """
    try:
        return request.source_pattern.at(clock.now(), request.configuration.snapshot.timezone)
    except NoMatch:
        if _may_be_missing(request):
            return None
        raise


def _check_source(request: Request) -> None:
    """Checks a source as far as it is there; one that may come later needs a folder to come to."""
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
        raise UsageError(f"{lacks}; wait for it: snapshot.source_wait_minutes, or do without: snapshot.if_missing=skip")
    source.check()
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
