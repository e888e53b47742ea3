"""The releases of a model on the terminal, newest last."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from rich.console import Console
from rich.table import Table

from petalflow.printable import printable
from petalflow.registry import Release

_NO_TERMINAL_COLUMNS = 200


def print_releases(releases: Sequence[Release]) -> None:
    """Prints releases, one per row; the last one is live. Times are in this machine's zone."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("version", "released", "accuracy", "run", "", "address"):
        table.add_column(column)
    for release in releases:
        table.add_row(
            str(release.version), _time(release), _accuracy(release), release.run_id,
            ", ".join(_notes(release, live=release is releases[-1])), release.uri,
        )  # fmt: skip
    console = Console()
    width = None if console.is_terminal else _NO_TERMINAL_COLUMNS
    Console(width=width, markup=False, highlight=False).print(table)


def print_json(releases: Sequence[Release]) -> None:
    """Prints releases as a JSON array, with everything that release.json records."""
    print(json.dumps([asdict(release) for release in releases], indent=2, ensure_ascii=False))


def _time(release: Release) -> str:
    at = release.lineage.get("released_at")
    return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M}" if at else "?"


def _accuracy(release: Release) -> str:
    accuracy = release.lineage.get("metrics", {}).get("accuracy")
    return "" if accuracy is None else f"{accuracy:.4f}"


def _notes(release: Release, *, live: bool) -> list[str]:
    back = release.lineage.get("rolled_back_from")
    accepted = release.lineage.get("accepted_anyway")
    notes = ["live"] if live else []
    notes += [f"rollback from version {back}"] if back else []
    return notes + ([f"accepted by {printable(accepted['by'])} despite failed checks"] if accepted else [])
