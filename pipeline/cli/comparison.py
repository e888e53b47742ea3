"""Comparing two evaluations: an HTML page, and a summary on the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from petalflow.dataset import open_dataset
from petalflow.errors import UsageError
from petalflow.printable import printable
from pipeline.comparison import Comparison, Paired, compare, read_evaluation, write_page
from pipeline.comparison.evaluation import EvaluationAddress
from pipeline.comparison.several import MOST_RUNS, differing_settings, evaluated, letters, write_several

# Without a terminal, nothing is wrapped or cut.
_UNLIMITED = 100_000
# The main metrics; the page shows all of them.
_METRICS = (("proportions", "accuracy"), ("figures", "macro_f1"), ("figures", "log_loss"), ("figures", "ece"))


def compare_evaluations(a: EvaluationAddress, b: EvaluationAddress, out: Path, dataset: Path | None = None) -> None:
    """Writes the page of a comparison, and prints a summary.

    Args:
        a: The first evaluation.
        b: The evaluation to compare with it; differences are B minus A.
        out: The page to write.
        dataset: Dataset to take the pictures from, if it has moved.

    Raises:
        UsageError: If the page exists already, or an evaluation does not exist.
        PetalflowError: If the dataset is incomplete.
    """
    if out.exists():
        raise UsageError(f"{out} already exists; remove it or choose another --out")
    pictures = open_dataset(dataset) if dataset else None
    first, second = (read_evaluation(one.evaluation, one.name, one.train_settings) for one in (a, b))
    comparison = compare(first, second)
    write_page(str(out), comparison, pictures)
    print_comparison(comparison)
    print(f"page: {out}")


def compare_several(addresses: Sequence[EvaluationAddress], out: Path) -> None:
    """Writes the page that compares more than two evaluations with the first, and prints a summary.

    Args:
        addresses: The evaluations.
        out: The page to write.

    Raises:
        UsageError: If there are too many, the page exists already, or an evaluation does not exist.
    """
    if len(addresses) > MOST_RUNS:
        raise UsageError(f"{len(addresses)} runs are too many to compare; give at most {MOST_RUNS}")
    if out.exists():
        raise UsageError(f"{out} already exists; remove it or choose another --out")
    first, *others = (read_evaluation(one.evaluation, one.name, one.train_settings) for one in addresses)
    comparisons = [compare(first, other) for other in others]
    write_several(str(out), comparisons)
    _print(_table_of_several(comparisons), ())
    print(f"page: {out}")


def _table_of_several(comparisons: Sequence[Comparison]) -> Table:
    all = evaluated(comparisons)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", *letters(len(all))):
        table.add_column(column, overflow="fold")
    table.add_row("name", *(Text(printable(one.name)) for one in all))
    table.add_row("verdict", *("accepted" if one.verdict["accepted"] else "refused" for one in all))
    for kind, name in _METRICS:
        table.add_row(name, *(_metric(one.metrics[kind].get(name)) for one in all))
    table.add_row("accuracy minus A's", "", *(_difference(comparison.all) for comparison in comparisons))
    table.add_row("McNemar's exact p", "", *(f"{comparison.all.p:.2g}" for comparison in comparisons))
    for name, values in differing_settings(all).items():
        table.add_row(name, *(Text(printable(value)) for value in values))
    return table


def _difference(paired: Paired) -> str:
    if paired.difference is None:
        return "no common images"
    low, high = paired.interval
    return f"{paired.difference:+.4f} ({low:+.4f} to {high:+.4f})"


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Prints the main metrics with 95 % intervals, the settings that differ, and how many predictions changed."""
    _print(_table(comparison), _sentences(comparison), console)


def _print(table: Table, sentences: Sequence[str], console: Console | None = None) -> None:
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_UNLIMITED)
    with console.capture() as printed:
        console.print(table)
        for line in sentences:
            console.print(Text(line))
    for line in printed.get().splitlines():
        print(line.rstrip(), file=console.file)


def _table(comparison: Comparison) -> Table:
    both = (comparison.first, comparison.second)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "A", "B"):
        table.add_column(column, overflow="fold")
    table.add_row("name", *(Text(printable(one.name)) for one in both))
    table.add_row("verdict", *("accepted" if one.verdict["accepted"] else "refused" for one in both))
    for kind, name in _METRICS:
        table.add_row(name, *(_metric(one.metrics[kind].get(name)) for one in both))
    for name, values in (comparison.settings or {}).items():
        table.add_row(name, *(Text(printable(value)) for value in values))
    return table


def _metric(metric: Mapping[str, Any] | None) -> str:
    if metric is None or metric["value"] is None:
        return "–"
    interval = "" if metric["low"] is None else f" ({metric['low']:.4f} to {metric['high']:.4f})"
    return f"{metric['value']:.4f}{interval}"


def _sentences(comparison: Comparison) -> list[str]:
    all = comparison.all
    lines = [
        f"both models were tested on {all.images} common images: only B is correct on {all.better}, only A on "
        f"{all.worse}; both are wrong with different predictions on {len(comparison.otherwise)}"
    ]
    if comparison.only_first or comparison.only_second or comparison.relabelled:
        lines.append(
            f"only A was tested on {comparison.only_first} images, only B on {comparison.only_second}; "
            f"{comparison.relabelled} have different labels and are left out below"
        )
    if comparison.settings is None:
        lines.append("the training settings are not compared: one of the two evaluations has no model next to it")
    if all.difference is None:
        return [*lines, all.conclusion]
    low, high = all.interval
    lines.append(f"accuracy of B minus A: {all.difference:+.4f} (95 % interval {low:+.4f} to {high:+.4f})")
    return [*lines, f"McNemar's exact p {all.p:.2g}: {all.conclusion}"]
