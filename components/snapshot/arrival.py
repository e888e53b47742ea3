"""Wait for a source that is not there yet."""

import logging
import time
from datetime import datetime

from components.snapshot.settings import SnapshotSettings
from petalflow import clock, storage
from petalflow.errors import PetalflowError
from petalflow.source import NoMatch, SourcePattern

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 30.0


def await_source(source: str, settings: SnapshotSettings, look_every_s: float = _LOOK_EVERY_S) -> str:
    """Returns the address of a source that is there, its date filled in; "" if this run is to be skipped.

    A run is of the day at which it began to wait, whether midnight passes meanwhile or not.

    Args:
        source: As it was asked for.
        settings: Time zone, and how long to wait for what.
        look_every_s: Seconds between looks.

    Raises:
        PetalflowError: If it is not there in time, or if it cannot be looked at. Only while it waits,
            a store that does not answer is borne.
    """
    now = clock.now()
    pattern = SourcePattern(source)
    address, lacks = _look(pattern, now, settings)
    if not lacks:
        return address
    storage.check_readable(pattern.fixed_part.location)  # nothing will arrive in a bucket that is not there
    until = time.monotonic() + settings.source_wait_minutes * 60
    if settings.source_wait_minutes:
        log.info("%s; waiting up to %g minutes", lacks, settings.source_wait_minutes)
    unavailable: PetalflowError | None = None
    while lacks and (left_s := until - time.monotonic()) > 0:
        time.sleep(min(look_every_s, left_s))
        unavailable = None
        try:
            address, lacks = _look(pattern, now, settings)
        except storage.Unavailable as error:
            log.info("%s; looking again", error)
            unavailable = error
    if unavailable:  # what was seen last is no news of what is there now
        raise unavailable
    if not lacks:
        return address
    if settings.if_missing == "skip":
        log.info(lacks)
        return ""
    raise PetalflowError(
        f"{lacks} (waited {settings.source_wait_minutes:g} minutes); put it there, wait longer by "
        "snapshot.source_wait_minutes, or leave such runs out by snapshot.if_missing=skip"
    )


def _look(pattern: SourcePattern, now: datetime, settings: SnapshotSettings) -> tuple[str, str]:
    """Returns the address of a source, and why it cannot be read yet, or ""."""
    try:
        source = pattern.at(now, settings.timezone)
    except NoMatch as error:
        return "", str(error)
    return source.address, source.why_not_ready(settings.ready_file)
