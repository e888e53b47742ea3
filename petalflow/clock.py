"""What time it is: the machine's, or one that is given, so that months of a schedule can be rehearsed."""

import difflib
import functools
import os
import zoneinfo
from datetime import UTC, datetime

from petalflow.errors import UsageError

# ISO 8601 with an offset; every process that has it takes the time for standing still there.
VARIABLE = "PETALFLOW_NOW"


def now() -> datetime:
    """Returns the time, in UTC.

    Raises:
        UsageError: If the environment gives one that cannot be read.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        return datetime.now(UTC)
    try:
        time = datetime.fromisoformat(given)
    except ValueError:
        time = datetime.min
    if time.tzinfo is None:
        raise UsageError(f"{VARIABLE}={given!r} is no time with an offset, like 2026-03-02T03:00:00+01:00")
    return time.astimezone(UTC)


def stamp() -> str:
    """Returns the time as it is written into files: ISO 8601, UTC, to the second; such texts sort by time."""
    return now().isoformat(timespec="seconds")


@functools.cache  # looking through all names takes long
def zone(name: str) -> zoneinfo.ZoneInfo:
    """Returns a time zone.

    Raises:
        ValueError: If there is none of that name.
    """
    known = zoneinfo.available_timezones()
    if name in known:
        return zoneinfo.ZoneInfo(name)
    places = [zone for zone in known if "/" in zone]
    near = difflib.get_close_matches(name, places, n=1) or ["Europe/Berlin"]
    raise ValueError(f"there is no time zone {name!r}; it must be one like {near[0]}")
