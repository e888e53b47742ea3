"""The checks as lines that a person reads."""

import io
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.validate.check import Check, number

_WIDE = 10_000  # nothing is wrapped and nothing cut
# Of a limit that many classes break, so many are named in one line; all are in validation.json.
_NAMED = 10


def lines(checks: Sequence[Check]) -> list[str]:
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


def sentence(failed: Sequence[Check]) -> str:
    """Returns all that failed in one line: every limit, and where it is broken by most."""
    said = []
    for _, group in groupby(failed, lambda check: check.name):
        of_name = list(group)
        worst = sorted(of_name, key=lambda check: -check.excess)[:_NAMED]
        said += [str(check) for check in of_name if check in worst]
        if len(of_name) > _NAMED:
            said[-1] += f" and {len(of_name) - _NAMED} more"
    return f"the dataset breaks {len(failed)} limit{'s' if len(failed) > 1 else ''}: {'; '.join(said)}"
