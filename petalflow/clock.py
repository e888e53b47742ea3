"""The current time: the machine's, or one set in the environment, so that months of a schedule can be rehearsed."""

import difflib
import functools
import os
import zoneinfo
from datetime import UTC, datetime

from petalflow.errors import UsageError

# ISO 8601 with an offset. For every process that has it, time stands still at this value.
VARIABLE = "PETALFLOW_NOW"


def now() -> datetime:
    """Returns the current time, in UTC.

    Raises:
        UsageError: If the time set in the environment is invalid.
    """
    text = os.environ.get(VARIABLE)
    if text is None:
        return datetime.now(UTC)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = datetime.min
    if time.tzinfo is None:
        raise UsageError(f"{VARIABLE}={text!r} is not a time with a UTC offset, like 2026-03-02T03:00:00+01:00")
    return time.astimezone(UTC)


def stamp() -> str:
    """Returns the time as written to files: ISO 8601, UTC, to the second; such strings sort by time."""
    return now().isoformat(timespec="seconds")


@functools.cache  # listing all zones is slow
def zone(name: str) -> zoneinfo.ZoneInfo:
    """Returns a time zone.

    Raises:
        ValueError: If the zone is unknown.
    """
    known = zoneinfo.available_timezones()
    if name in known:
        return zoneinfo.ZoneInfo(name)
    regional = [zone for zone in known if "/" in zone]
    near = difflib.get_close_matches(name, regional, n=1) or ["Europe/Berlin"]
    raise ValueError(f"unknown time zone {name!r}; use one like {near[0]}")
