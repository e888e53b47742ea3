"""A source whose address holds a date: of today, or of the latest folder or file that is not of a later day.

```
gs://bucket/photos/{date}                photos/2026-11-22
gs://bucket/photos/{date:%Y/%m/%d}       photos/2026/11/22
gs://bucket/photos/{latest}/images       photos/2026-11-20/images, if there is no 2026-11-21 and no 2026-11-22
gs://bucket/photos/{latest}.zip          photos/2026-11-20.zip
gs://bucket/weeks/{date:%G-W%V}          weeks/2026-W47
```

A format may tell less than the day: of a month, a week or a year, `{latest}` takes the latest that has begun. A brace
that belongs to a name is written twice, `{{` or `}}`.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime

from petalflow import clock, storage
from petalflow.errors import UsageError

_TODAY, _LATEST = "date", "latest"
_ISO = "%Y-%m-%d"
_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+")
# What a format may hold, and what stands for it in a name: year, month, day; day of the year; year, week, day by ISO.
_DIRECTIVES = {
    "Y": r"\d{4}",
    "y": r"\d\d",
    "m": r"\d\d",
    "b": r"[A-Za-z]+",
    "B": r"[A-Za-z]+",
    "d": r"\d\d",
    "j": r"\d{3}",
    "G": r"\d{4}",
    "V": r"\d\d",
    "u": r"\d",
    "%": "%",
}
_SAME = {"y": "Y", "b": "m", "B": "m"}
# What tells a date, from a year down to a day; anything else leaves a gap.
_PERIODS = tuple(map(frozenset, ("Y", "Ym", "Ymd", "Yj", "G", "GV", "GVu")))


class NoMatch(UsageError):
    """Nothing has a date that is not after today; it may come."""


@dataclass(frozen=True)
class _Address:
    """An address, taken apart.

    Attributes:
        folder: What comes before the path parts that hold the date; all of it if there is none.
        dated: Those parts, as a format; "" if there is no date.
        below: What comes after them.
        latest: Whether the date is that of the latest folder or file, and not today's.
        is_file: Whether what has the date may be a file: its name goes on after the date, as `{latest}.zip` does.
    """

    folder: str
    dated: str = ""
    below: str = ""
    latest: bool = False
    is_file: bool = False


def is_dated(address: str) -> bool:
    """Tells whether an address holds a date; raises as `check_pattern` does."""
    return bool(_parse(address).dated)


def is_of_today(address: str) -> bool:
    """Tells whether an address means another place each day, there or not; raises as `check_pattern` does."""
    parsed = _parse(address)
    return bool(parsed.dated) and not parsed.latest


def check_pattern(address: str) -> None:
    """Looks at how an address is written, and at nothing else.

    Raises:
        UsageError: If it has an unknown placeholder, more than one, a lone brace, or a format that tells no date.
    """
    _parse(address)


def fixed_part(address: str) -> str:
    """Returns the folder in which a source is whatever the date; without a date, the source itself.

    Raises:
        UsageError: As `check_pattern`.
    """
    return _parse(address).folder


def resolve(address: str, now: datetime, zone: str) -> str:
    """Returns the address that a source has at a time; whether anything is there is not looked at.

    Args:
        address: With a date, or without.
        now: The time.
        zone: Name of the time zone that says which day that is.

    Raises:
        NoMatch: If the latest folder is meant, and there is none of that day or before.
        UsageError: As `check_pattern`.
    """
    parsed = _parse(address)
    if not parsed.dated:
        return parsed.folder
    today = now.astimezone(clock.zone(zone)).date()
    text = _latest(parsed, today) if parsed.latest else _text(parsed.dated, today)
    if text is None:
        what = "folders or files" if parsed.is_file and "/" not in parsed.dated else "folders"
        names = _names(parsed.folder, files=what != "folders")[-3:]
        found = f"{what} there: {', '.join(names)}" if names else f"there are no {what}"
        raise NoMatch(
            f"source {address}: nothing in {parsed.folder} has a date up to {today}, "
            f"written like {_text(parsed.dated, today)} ({found}); correct the pattern or the address"
        )
    return storage.join(parsed.folder, text) + parsed.below


def _latest(address: _Address, today: date, above: tuple[str, ...] = ()) -> str | None:
    """Returns the path of what has the latest date, going down the newest branch that leads to something."""
    parts = address.dated.split("/")
    if len(above) == len(parts):
        return "/".join(above)
    format_so_far = "/".join(parts[: len(above) + 1])
    here = storage.join(address.folder, *above) if above else address.folder
    paths = [(*above, name) for name in _names(here, files=address.is_file and len(above) == len(parts) - 1)]
    days = {_day(format_so_far, "/".join(path)): path for path in paths}
    for day in sorted((day for day in days if day and day <= today), reverse=True):
        if found := _latest(address, today, days[day]):
            return found
    return None


def _names(folder: str, *, files: bool) -> list[str]:
    found = storage.list_folders(folder)
    return sorted([*found, *(file.name for file in storage.list_files(folder, deep=False))]) if files else found


def _text(format_: str, day: date) -> str:
    return re.sub("%(.)", lambda directive: day.strftime(directive[0]), format_)


def _day(format_: str, text: str) -> date | None:
    """Returns the first day of what a text tells, or None if it is not exactly as that day would be written."""
    pieces = re.split("%(.)", format_)  # text, directive, text, directive, ..., text
    pattern = "".join(f"({_DIRECTIVES[piece]})" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces))
    match = re.fullmatch(pattern, text)
    if match is None:
        return None
    values = dict(zip(pieces[1::2], match.groups(), strict=True))  # what is there twice must be the same: seen below
    if "G" in values:
        values = {"V": "01", "u": "1"} | values
    try:
        day = datetime.strptime(" ".join(values.values()), " ".join(f"%{name}" for name in values)).date()
    except ValueError:
        return None
    return day if _text(format_, day) == text else None


def _parse(address: str) -> _Address:
    texts, placeholders = [""], []
    for token in _TOKEN.findall(address):
        if token in ("{{", "}}"):
            texts[-1] += token[0]
        elif token in ("{", "}"):
            raise UsageError(f"source {address} has a lone {token!r}; a brace in a name is written twice: {token * 2}")
        elif token.startswith("{"):
            placeholders.append(token)
            texts.append("")
        else:
            texts[-1] += token
    if not placeholders:
        return _Address(texts[0])
    format_, latest = _format(address, placeholders[0])
    if len(placeholders) > 1:
        raise UsageError(
            f"source {address} has more than one date, {' and '.join(placeholders)}; write one, like {{date:%Y/%m/%d}}"
        )
    before, after = texts
    cut = before.rfind("/") + 1
    if before[:cut].endswith("://"):
        raise UsageError(f"source {address} has a date in the name of its bucket; put it in a folder's name")
    end, slash, below = after.partition("/")
    dated = before[cut:].replace("%", "%%") + format_ + end.replace("%", "%%")
    is_file = "." in end and not slash
    return _Address(before[:cut].rstrip("/") or before[:cut] or ".", dated, slash + below, latest, is_file)


def _format(address: str, placeholder: str) -> tuple[str, bool]:
    """Returns the format that a placeholder gives, and whether it means the latest folder."""
    name, colon, given = placeholder[1:-1].partition(":")
    if name not in (_TODAY, _LATEST):
        raise UsageError(
            f"source {address}: {placeholder} stands for nothing, as {{date}} and {{latest}} do; correct it, or, if "
            f"it is part of a name, write {{{placeholder}}}"
        )
    where = f"source {address}: the format of {placeholder}"
    format_ = given if colon else _ISO
    if not all(format_.split("/")):
        raise UsageError(f"{where} is empty, or empty between slashes; write it like %Y-%m-%d or %Y/%m/%d")
    unknown = [directive for directive in re.findall("%.?", format_) if directive[1:] not in _DIRECTIVES]
    if unknown:
        raise UsageError(f"{where} has {unknown[0]}, which is no part of a date; known are %{', %'.join(_DIRECTIVES)}")
    _check_tells_date(where, format_, by_folders=name == _LATEST)
    return format_, name == _LATEST


def _check_tells_date(where: str, format_: str, *, by_folders: bool) -> None:
    parts = format_.split("/")
    # The newest folder is chosen at each level, so each must tell a date: no days of whichever month.
    levels = ["/".join(parts[: depth + 1]) for depth in range(len(parts))] if by_folders else [format_]
    for level in levels:
        if {_SAME.get(name, name) for name in re.findall("%(.)", level)} - {"%"} not in _PERIODS:
            raise UsageError(f"{where} leaves a gap in the date; it must begin with the year, like %Y/%m/%d or %G-W%V")
