"""The history of a model on the terminal: one line per run, newest last, like a log."""

import json
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.notify.message import browser_address
from petalflow import overview, storage
from petalflow.printable import printable
from petalflow.run import record as runs
from petalflow.run.history import ACTIVE, INTERRUPTED, UNREADABLE, WAITING, RunRecord
from petalflow.run.steps import CACHED, FAILED, RAN, RUNNING

# Without a terminal, nothing is wrapped or cut.
_UNLIMITED = 100_000
_OUTCOMES = {
    runs.ACCEPTED: "green",
    runs.REFUSED: "yellow",
    runs.FAILED: "red",
    ACTIVE: "cyan",
    WAITING: "cyan",
    INTERRUPTED: "red",
    UNREADABLE: "red",
}
_STEPS = {RAN: "", CACHED: "cyan", FAILED: "red", RUNNING: "yellow"}


def print_runs(records: Sequence[RunRecord], console: Console | None = None) -> None:
    """Prints runs, one line each, or a few if it is too long for the terminal; times are in this machine's zone."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_UNLIMITED)
    table = _table(records)
    needed = console.measure(table, options=console.options.update(width=_UNLIMITED)).maximum
    with console.capture() as printed:
        console.print(table if needed <= console.width else _blocks(records))
    for line in printed.get().splitlines():
        print(line.rstrip(), file=console.file)


def print_page(record_uri: str) -> None:
    """Prints where the page of all runs is, or how to get one."""
    address = overview.page_address(record_uri)
    print(f"page of all runs: {address if storage.is_file(address) else 'none yet; --open writes and opens it'}")


def open_page(record_uri: str, state_uri: str, name: str) -> None:
    """Writes the page of all runs anew, prints its address and opens it in the browser.

    A browser cannot follow relative links from a store, so the page of one is opened as a copy with full addresses.
    """
    entries = overview.update(record_uri, state_uri)
    address = shown = overview.write_page(record_uri, name, entries)
    if not storage.is_local(record_uri):
        shown = str(Path(tempfile.mkdtemp(prefix="petalflow-")) / overview.PAGE_FILE)
        page = overview.make_page(name, entries, reports=f"{browser_address(record_uri)}/")
        storage.write_bytes(shown, page.encode())
    print(f"page of all runs: {address}")
    webbrowser.open(Path(shown).as_uri())


def print_json(records: Sequence[RunRecord]) -> None:
    """Prints runs as a JSON array; times are in UTC."""
    print(json.dumps([asdict(record) for record in records], indent=2, ensure_ascii=False, default=_to_json))


def _to_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    raise TypeError(f"{value!r} in a run's record")


def _table(records: Sequence[RunRecord]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("started", "outcome", "accuracy", "result", "trigger", "why", "steps (* from the cache)", "error"):
        table.add_column(column, no_wrap=True)
    for record in records:
        why = Text("; ".join(record.why))
        what = (_outcome(record), _accuracy(record), _result(record))
        table.add_row(_began(record), *what, Text(record.trigger), why, _steps_run(record), Text(record.error, "red"))
    return table


def _blocks(records: Sequence[RunRecord]) -> Table:
    """Returns a table with the details of each run below each other."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for record in records:
        parts = (_outcome(record), _accuracy(record), _result(record), Text(record.trigger, "dim"))
        first = Text("  ").join(part for part in parts if part)
        more = [Text("; ".join(record.why)), _steps_run(record), Text(record.error, "red")]
        table.add_row(_began(record), Text("\n").join([first, *filter(None, more)]))
    return table


def _began(record: RunRecord) -> str:
    return f"{record.started_at.astimezone():%Y-%m-%d %H:%M}" if record.started_at else "?"


def _outcome(record: RunRecord) -> Text:
    return Text(record.outcome, _OUTCOMES.get(record.outcome, ""))


def _accuracy(record: RunRecord) -> Text:
    return Text("" if record.accuracy is None else f"{record.accuracy:.4f}")


def _result(record: RunRecord) -> Text:
    if record.outcome == runs.REFUSED:
        return Text(record.failed_check)
    if record.outcome == runs.FAILED:
        return Text(f"at {record.error.partition(':')[0]}" if record.error else "")
    by = f", accepted by {printable(record.accepted_by)}" if record.accepted_by else ""
    return Text(f"version {record.version}{by}" if record.version is not None else "")


def _steps_run(record: RunRecord) -> Text:
    """Returns the steps that ran, and those whose result came from the cache, with a star."""
    shown = {step: state for step, state in record.steps.items() if state in _STEPS}
    marked = [Text(step + "*" * (state == CACHED), _STEPS[state]) for step, state in shown.items()]
    return Text(" ").join(marked)
