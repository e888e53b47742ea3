"""The addresses of a run, checked before it starts from where the command stands."""

from pathlib import Path

from petalflow import source, storage
from petalflow.errors import UsageError
from pipeline.request import Request


def check_addresses(request: Request, out: Path) -> None:
    """Checks that the source can be read, and that all else can be written and lies apart from it.

    Raises:
        UsageError: Naming the first address that does not do.
    """
    source.check_source(request.source)
    for what, address in {"--out": str(out), **places(request)}.items():
        _check_writable(what, address)
        _check_apart(what, address, "source", request.source)
    # A model server watches the registry, and would find a run's work among the versions.
    _check_apart("--out", str(out), "registry", request.registry)


def places(request: Request) -> dict[str, str]:
    """Returns what a run writes to, beside its folder: the option -> the address."""
    return {"--registry": request.registry, "--state": request.state_uri, "--record": request.record_uri}


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
