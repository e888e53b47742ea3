"""How a source's address is written: with the date of today or of the latest folder, and pinned to its contents.

```
gs://bucket/photos/{date}                photos/2026-11-22
gs://bucket/photos/{date:%Y/%m/%d}       photos/2026/11/22
gs://bucket/photos/{latest}/images       photos/2026-11-20/images, if there is no 2026-11-21 and no 2026-11-22
gs://bucket/photos/{latest}.zip          photos/2026-11-20.zip
gs://bucket/weeks/{date:%G-W%V}          weeks/2026-W47
```

A format may be coarser than a day: of months, weeks or years, `{latest}` takes the latest that has begun. A brace that
belongs to a name is doubled, `{{` or `}}`.
"""

import functools
import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

from petalflow import clock, storage
from petalflow.errors import UsageError
from petalflow.source.options import PLAIN, SourceOptions
from petalflow.source.sources import Source, open_source

_MARK = "@sha256:"

_TODAY, _LATEST = "date", "latest"
_ISO = "%Y-%m-%d"
_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+")
# The directives of a format, and what they match in a name: year, month, day; day of the year; ISO year, week, day.
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
# Directives that make a date, from a year down to a day; any other set leaves a gap.
_PERIODS = tuple(map(frozenset, ("Y", "Ym", "Ymd", "Yj", "G", "GV", "GVu")))


class NoMatch(UsageError):
    """No folder or file has a date up to today; one may still arrive."""


@dataclass(frozen=True)
class _Address:
    """An address, taken apart.

    Attributes:
        folder: Everything before the path parts that hold the date; the whole address if there is none.
        dated: Those parts, as a format; "" if there is no date.
        below: Everything after them.
        latest: True if the date is that of the latest folder or file, rather than today's.
        is_file: True if a file may carry the date: its name continues after the date, as `{latest}.zip` does.
    """

    folder: str
    dated: str = ""
    below: str = ""
    latest: bool = False
    is_file: bool = False


@dataclass(frozen=True)
class SourcePattern:
    """A source as a user writes it, with or without a date in its address.

    All but `absolute` raise UsageError if the address has an unknown placeholder, more than one, a single brace, or a
    format from which no date can be read.

    Attributes:
        text: The address.
        options: How to read the source.
    """

    text: str
    options: SourceOptions = PLAIN

    @property
    def is_dated(self) -> bool:
        """True if the address holds a date."""
        return bool(self._parsed.dated)

    @property
    def is_daily(self) -> bool:
        """True if the address means another folder on another day, whether that exists or not."""
        return bool(self._parsed.dated) and not self._parsed.latest

    @property
    def fixed_part(self) -> Source:
        """The source without its date: the folder that it is in on every day; without a date, the source itself."""
        return open_source(self._parsed.folder, self.options)

    def absolute(self) -> Self:
        """Returns the same pattern, independent of the working folder and of the machine's defaults."""
        source = open_source(self.text, self.options).absolute()
        return type(self)(source.address, source.options)

    def at(self, now: datetime, zone: str) -> Source:
        """Returns the source that the pattern means at a time, whether it exists or not.

        Args:
            now: The time.
            zone: Name of the time zone that decides which day that is.

        Raises:
            NoMatch: If the latest folder is meant, and none has a date up to that day.
        """
        parsed = self._parsed
        if not parsed.dated:
            return self.fixed_part
        today = now.astimezone(clock.zone(zone)).date()
        path = _latest(parsed, today) if parsed.latest else _text(parsed.dated, today)
        if path is None:
            raise self._no_match(today)
        return open_source(storage.join(parsed.folder, path) + parsed.below, self.options)

    @functools.cached_property
    def _parsed(self) -> _Address:
        return _parse(self.text)

    def _no_match(self, today: date) -> NoMatch:
        parsed = self._parsed
        kinds = "folders or files" if parsed.is_file and "/" not in parsed.dated else "folders"
        names = _names(parsed.folder, files=kinds != "folders")[-3:]
        found = f"{kinds} there: {', '.join(names)}" if names else f"there are no {kinds}"
        return NoMatch(
            f"source {self.text}: nothing in {parsed.folder} has a date up to {today}, "
            f"written like {_text(parsed.dated, today)} ({found}); correct the pattern or the address"
        )


def pin(address: str, fingerprint: str) -> str:
    """Returns an address and the fingerprint of what is there as one text, `gs://bucket/photos@sha256:1f0c...`.

    One text, because a condition of the pipeline works on the one value that a step returns; written as container
    images are pinned: `name@sha256:digest`.
    """
    return f"{address}{_MARK}{fingerprint}"


def unpin(text: str) -> tuple[str, str]:
    """Returns the address and the fingerprint of a pinned source.

    Raises:
        UsageError: If the text is not a pinned source.
    """
    address, mark, fingerprint = text.rpartition(_MARK)
    if not (mark and address and fingerprint):
        raise UsageError(f"source {text} has no fingerprint; it must look like gs://bucket/photos{_MARK}1f0c...")
    return address, fingerprint


def _latest(address: _Address, today: date, above: tuple[str, ...] = ()) -> str | None:
    """Returns the path with the latest date, going down the newest branch that leads to one; None if there is none."""
    parts = address.dated.split("/")
    if len(above) == len(parts):
        return "/".join(above)
    format_so_far = "/".join(parts[: len(above) + 1])
    folder = storage.join(address.folder, *above) if above else address.folder
    paths = [(*above, name) for name in _names(folder, files=address.is_file and len(above) == len(parts) - 1)]
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
    """Returns the first day of the date in a text; None if the text is not exactly that date in the format."""
    pieces = re.split("%(.)", format_)  # text, directive, text, directive, ..., text
    pattern = "".join(f"({_DIRECTIVES[piece]})" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces))
    match = re.fullmatch(pattern, text)
    if match is None:
        return None
    values = dict(
        zip(pieces[1::2], match.groups(), strict=True)
    )  # a directive that occurs twice must agree: checked below
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
            raise UsageError(f"source {address} has a single {token!r}; double a brace in a name: {token * 2}")
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
            f"source {address} has more than one date, {' and '.join(placeholders)}; use one, like {{date:%Y/%m/%d}}"
        )
    before, after = texts
    cut = before.rfind("/") + 1
    if before[:cut].endswith("://"):
        raise UsageError(f"source {address} has a date in the name of its bucket; put the date in the name of a folder")
    end, slash, below = after.partition("/")
    dated = before[cut:].replace("%", "%%") + format_ + end.replace("%", "%%")
    is_file = "." in end and not slash
    return _Address(before[:cut].rstrip("/") or before[:cut] or ".", dated, slash + below, latest, is_file)


def _format(address: str, placeholder: str) -> tuple[str, bool]:
    """Returns the format in a placeholder, and True if it means the latest folder."""
    name, colon, given = placeholder[1:-1].partition(":")
    if name not in (_TODAY, _LATEST):
        raise UsageError(
            f"source {address}: {placeholder} is not a placeholder; use {{date}} or {{latest}}, or write "
            f"{{{placeholder}}} if the braces are part of a name"
        )
    where = f"source {address}: the format of {placeholder}"
    format_ = given if colon else _ISO
    if not all(format_.split("/")):
        raise UsageError(f"{where} is empty, or empty between slashes; write it like %Y-%m-%d or %Y/%m/%d")
    unknown = [directive for directive in re.findall("%.?", format_) if directive[1:] not in _DIRECTIVES]
    if unknown:
        raise UsageError(f"{where} has {unknown[0]}, which is not part of a date; use %{', %'.join(_DIRECTIVES)}")
    _check_is_date(where, format_, by_folders=name == _LATEST)
    return format_, name == _LATEST


def _check_is_date(where: str, format_: str, *, by_folders: bool) -> None:
    parts = format_.split("/")
    # The newest folder is chosen at each level, so each level must be a date: a day alone, of any month, is not.
    levels = ["/".join(parts[: depth + 1]) for depth in range(len(parts))] if by_folders else [format_]
    for level in levels:
        if {_SAME.get(name, name) for name in re.findall("%(.)", level)} - {"%"} not in _PERIODS:
            raise UsageError(f"{where} leaves a gap in the date; it must begin with the year, like %Y/%m/%d or %G-W%V")
