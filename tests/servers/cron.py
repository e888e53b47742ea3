"""The checks of cron expressions that services make."""

import re
import zoneinfo
from collections.abc import Iterator

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# The lowest and the highest number, and names for the numbers from the lowest on.
_SECOND = _MINUTE = (0, 59, ())
_FIVE = (_MINUTE, (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 6, _DAYS))


def problems_with_zone(text: str) -> list[str]:
    """Returns what is wrong with five fields, with an optional time zone before them, as Vertex AI takes them."""
    zone = re.match(r"(?:CRON_)?TZ=(\S+) ", text)
    if zone and zone[1] not in zoneinfo.available_timezones():
        return [f"unknown time zone {zone[1]}"]
    return _problems(text[zone.end() :] if zone else text, _FIVE)


def problems_with_seconds(text: str) -> list[str]:
    """Returns what is wrong with six fields, seconds first, without a time zone, as Kubeflow Pipelines takes them."""
    return _problems(text, (_SECOND, *_FIVE))


def _problems(text: str, bounds: tuple[tuple[int, int, tuple[str, ...]], ...]) -> list[str]:
    fields = text.split()
    if len(fields) != len(bounds):
        return [f"Expected exactly {len(bounds)} fields, found {len(fields)}: {text}"]
    return [problem for field, bound in zip(fields, bounds, strict=True) for problem in _problems_of(field, *bound)]


def _problems_of(field: str, least: int, greatest: int, names: tuple[str, ...]) -> Iterator[str]:
    for item in field.upper().split(","):
        for place, name in enumerate(names, start=least):
            item = re.sub(rf"\b{name}\b", str(place), item)
        match = re.fullmatch(r"(?:[*?]|(\d+)(?:-(\d+))?)(?:/([1-9]\d*))?", item)
        if not match:
            yield f"Failed to parse {field}"
            continue
        numbers = [int(number) for number in match.groups()[:2] if number]
        if numbers != sorted(numbers) or any(not least <= number <= greatest for number in numbers):
            yield f"{field} is beyond {least} to {greatest}, or its end comes first"
