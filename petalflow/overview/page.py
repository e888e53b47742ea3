"""history.html: all runs of a name on one page, the newest first, with links to their reports."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from petalflow import __version__, clock, storage
from petalflow.document import render
from petalflow.overview.chart import HEIGHT, WIDTH, make_chart
from petalflow.overview.entry import Entry
from petalflow.run import record
from petalflow.run.history import RunRecord
from petalflow.verdict import REPORT_FILE

PAGE_FILE = "history.html"
# The newest runs are shown, older ones are folded by month; by year if there are many months.
_SHOWN = 30
_MOST_MONTHS = 12
# A text from a record is cut to this many characters.
_LONGEST_TEXT = 300


def page_address(record_uri: str) -> str:
    """Returns the address of the page in the folder of the records."""
    return storage.join(record_uri, PAGE_FILE)


def write_page(record_uri: str, name: str, entries: Sequence[Entry]) -> str:
    """Writes the page to the folder of the records, so that its links stay valid if the folder is copied.

    Args:
        record_uri: The folder of the records.
        name: The name of the releases.
        entries: All runs, the newest last.

    Returns:
        Its address.
    """
    address = page_address(record_uri)
    storage.write_bytes(address, make_page(name, entries).encode())
    return address


def make_page(name: str, entries: Sequence[Entry], reports: str = "") -> str:
    """Returns the page.

    Args:
        name: The name of the releases.
        entries: All runs, the newest last.
        reports: The address below which the browser finds the reports, with a slash; "" for links that are relative.
    """
    newest_first = entries[::-1]
    rows = list(_fold(newest_first))
    released = [entry for entry in newest_first if entry.run.version is not None]
    judged = [entry for entry in newest_first if entry.run.accuracy is not None]
    return render(
        __package__,
        "page.html.j2",
        name=name,
        version=__version__,
        written_at=clock.now(),
        entries=entries,
        counts=Counter(entry.run.outcome for entry in entries).most_common(),
        live=released[0] if released else None,
        live_judged=_judged_release(released),
        last=newest_first[0] if newest_first else None,
        judged=judged[0] if judged else None,
        chart=make_chart(entries),
        size=(WIDTH, HEIGHT),
        newest=rows[:_SHOWN],
        older=list(_by_period(rows[_SHOWN:])),
        report=lambda entry: _report(entry, reports),
        cut=_cut,
    )


@dataclass(frozen=True)
class Row:
    """A row of the table: a run, or several in a row that found nothing new.

    Attributes:
        entries: The runs, the newest first.
    """

    entries: Sequence[Entry]

    @property
    def run(self) -> RunRecord:
        """The newest of its runs."""
        return self.entries[0].run


@dataclass(frozen=True)
class Period:
    """The rows of a month or a year.

    Attributes:
        title: The year, and the month if it is one.
        rows: The rows, the newest first.
        counts: The outcomes and how many runs had each, the most frequent first.
    """

    title: str
    rows: Sequence[Row]
    counts: Sequence[tuple[str, int]]


def _fold(newest_first: Iterable[Entry]) -> Iterator[Row]:
    """Yields the rows: successive runs with nothing new, in the same month, are one."""
    for key, group in itertools.groupby(enumerate(newest_first), lambda pair: _group(*pair)):
        entries = [entry for _, entry in group]
        yield from [Row(entries)] if isinstance(key, str) else map(Row, zip(entries))


def _group(index: int, entry: Entry) -> str | int:
    return _month(entry) if entry.run.outcome == record.NOTHING_NEW else index


def _by_period(rows: Sequence[Row]) -> Iterator[Period]:
    months = {_month(row.entries[0]) for row in rows}
    of = _month if len(months) <= _MOST_MONTHS else _year
    for title, group in itertools.groupby(rows, lambda row: of(row.entries[0])):
        inside = list(group)
        outcomes = Counter(entry.run.outcome for row in inside for entry in row.entries)
        yield Period(title, inside, outcomes.most_common())


def _month(entry: Entry) -> str:
    return f"{entry.run.started_at:%Y-%m}" if entry.run.started_at else "unknown time"


def _year(entry: Entry) -> str:
    return f"{entry.run.started_at:%Y}" if entry.run.started_at else "unknown time"


def _judged_release(released: Sequence[Entry]) -> Entry | None:
    """Returns the run whose verdict is about the live release; a rollback copies the release of an earlier run."""
    by_version = {entry.run.version: entry for entry in released}
    found = released[0] if released else None
    while found and found.run.rolled_back_from is not None:
        found = by_version.get(found.run.rolled_back_from)
    return found


def _report(entry: Entry, reports: str) -> str:
    """Returns the address of the report of a run, or "" if it has none."""
    return f"{reports}{quote(entry.run.run_id)}/{REPORT_FILE}" if entry.kept and entry.run.accuracy is not None else ""


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[: _LONGEST_TEXT - 1]}…"
