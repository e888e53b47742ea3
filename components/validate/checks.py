"""The outcome of each limit, and all of them as a table and as a message."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Check:
    """One limit and how the dataset stands to it.

    Attributes:
        name: The setting that holds the limit.
        where: The class, split or measure it is about, or "" for the whole.
        value: What was found; of drift, the size of the effect.
        limit: What is allowed.
        passed: Whether it is kept.
        statistic: Of the test of drift; None of other limits.
        p: How often chance alone makes a difference like this, 0..1; None likewise.
    """

    name: str
    where: str
    value: float
    limit: float
    passed: bool
    statistic: float | None = None
    p: float | None = None

    @property
    def excess(self) -> float:
        """How far the value is from the limit, of whatever kind of limit: what is worst has most of it."""
        distance = abs(self.value - self.limit)
        return -distance if self.passed else distance

    def __str__(self) -> str:
        where = f" of {self.where}" if self.where else ""
        p = f"; p {self.p:.1g}" if self.p is not None else ""
        return f"{self.name}{where}: {number(self.value)} (limit {number(self.limit)}{p})"


def at_least(name: str, where: str, value: float, limit: float) -> Check:
    """Checks that a value is not below a limit."""
    return Check(name, where, value, limit, value >= limit)


def at_most(name: str, where: str, value: float, limit: float) -> Check:
    """Checks that a value is not above a limit."""
    return Check(name, where, value, limit, value <= limit)


def none_of(name: str, what: str, classes: set[str]) -> Check:
    """Checks that there is no class of a kind; those that there are, are named."""
    return at_most(name, ": ".join([what, ", ".join(sorted(classes))]) if classes else what, len(classes), 0)


def number(value: float) -> str:
    """Returns a number for people: counts in full, shares to four digits."""
    return str(value) if isinstance(value, int) else f"{value:.4g}"


_WIDE = 10_000  # nothing is wrapped and nothing cut
# Of a limit that many classes break, so many are named in one line; all are in validation.json.
_NAMED = 10


def format_table(checks: Sequence[Check]) -> list[str]:
    """Returns a table: each check that failed, and of those of a name that passed the one nearest to its limit."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("limit", "of", "found", "allowed", "statistic", "p", ""):
        table.add_column(column, justify="right" if column in ("found", "allowed", "statistic", "p") else "left")
    for check, others in _shown(checks):
        where = f"{check.where} (and {others} more)" if others else check.where
        test = ["" if figure is None else f"{figure:.3g}" for figure in (check.statistic, check.p)]
        outcome = "ok" if check.passed else "FAILED"
        cells = (check.name, where, number(check.value), number(check.limit), *test, outcome)
        table.add_row(*map(Text, cells))
    console = Console(file=io.StringIO(), width=_WIDE, color_system=None)
    with console.capture() as printed:
        console.print(table, no_wrap=True)
    return [line.rstrip() for line in printed.get().split("\n") if line]


def _shown(checks: Sequence[Check]) -> Iterator[tuple[Check, int]]:
    """Yields the checks to show, in their order, and how many more each stands for."""
    for _, group in groupby(checks, lambda check: (check.name, check.p is None)):
        of_name = list(group)
        failed = [check for check in of_name if not check.passed]
        passed = [check for check in of_name if check.passed]
        yield from ((check, 0) for check in failed)
        if passed and passed[0].p is None:
            yield max(passed, key=lambda check: check.excess), len(passed) - 1
        else:
            yield from ((check, 0) for check in passed)


def failure_message(failed: Sequence[Check]) -> str:
    """Returns all that failed in one line: every limit, and where it is broken by most."""
    said = []
    for _, group in groupby(failed, lambda check: check.name):
        of_name = list(group)
        worst = sorted(of_name, key=lambda check: -check.excess)[:_NAMED]
        said += [str(check) for check in of_name if check in worst]
        if len(of_name) > _NAMED:
            said[-1] += f" and {len(of_name) - _NAMED} more"
    return f"the dataset breaks {len(failed)} limit{'s' if len(failed) > 1 else ''}: {'; '.join(said)}"
