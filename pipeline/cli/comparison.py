"""Two evaluations compared: a page, and on the terminal a short table and what it comes to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from petalflow.dataset import open_dataset
from petalflow.errors import UsageError
from petalflow.printable import printable
from pipeline.comparison import Comparison, compare, read_evaluation, write_page
from pipeline.comparison.judged import Judged

# Where there is no terminal, nothing is wrapped and nothing cut.
_ENDLESS = 100_000
# The page has the others.
_FIGURES = (("proportions", "accuracy"), ("figures", "macro_f1"), ("figures", "log_loss"), ("figures", "ece"))


def compare_judged(a: Judged, b: Judged, out: Path, dataset: Path | None = None) -> None:
    """Writes the page of a comparison, and prints what it comes to.

    Args:
        a: What was first.
        b: What is told as the change from it.
        out: The page to write.
        dataset: The pictures' dataset, if it is not where the two were made.

    Raises:
        UsageError: If the page is there already, or an evaluation is not.
        PetalflowError: If the dataset is not complete.
    """
    if out.exists():
        raise UsageError(f"{out} is already there; remove it or choose another --out")
    pictures = open_dataset(dataset) if dataset else None
    first, second = (read_evaluation(one.evaluation, one.name, one.train_settings) for one in (a, b))
    comparison = compare(first, second)
    write_page(str(out), comparison, pictures)
    print_comparison(comparison)
    print(f"page: {out}")


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Prints the main figures with their 95 % intervals, the settings that differ, and how many answers changed."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_ENDLESS)
    with console.capture() as printed:
        console.print(_table(comparison))
        for line in _sentences(comparison):
            console.print(Text(line))
    for line in printed.get().splitlines():
        print(line.rstrip(), file=console.file)


def _table(comparison: Comparison) -> Table:
    both = (comparison.first, comparison.second)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "A", "B"):
        table.add_column(column, overflow="fold")
    table.add_row("named", *(Text(printable(one.name)) for one in both))
    table.add_row("verdict", *("accepted" if one.verdict["accepted"] else "refused" for one in both))
    for kind, name in _FIGURES:
        table.add_row(name, *(_figure(one.metrics[kind].get(name)) for one in both))
    for name, values in (comparison.settings or {}).items():
        table.add_row(name, *(Text(printable(value)) for value in values))
    return table


def _figure(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    interval = "" if figure["low"] is None else f" ({figure['low']:.4f} to {figure['high']:.4f})"
    return f"{figure['value']:.4f}{interval}"


def _sentences(comparison: Comparison) -> list[str]:
    all = comparison.all
    lines = [
        f"{all.images} images tested by both: B alone is right on {all.better}, A alone on {all.worse}; "
        f"both wrong, each in its own way, on {len(comparison.otherwise)}"
    ]
    if comparison.only_first or comparison.only_second or comparison.relabelled:
        lines.append(
            f"{comparison.only_first} images tested by A alone, {comparison.only_second} by B alone; "
            f"{comparison.relabelled} with other labels, left out of what follows"
        )
    if comparison.settings is None:
        lines.append("how the two were trained is not known: the model of one is not beside its evaluation")
    if all.difference is None:
        return [*lines, all.conclusion]
    low, high = all.interval
    lines.append(f"accuracy of B less that of A: {all.difference:+.4f} (95 % interval {low:+.4f} to {high:+.4f})")
    return [*lines, f"McNemar's exact p {all.p:.2g}: {all.conclusion}"]
