"""Checks of a dataset against limits, and their outcomes as a table and as an error message."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class DataCheck:
    """The outcome of one limit.

    Attributes:
        name: The setting that holds the limit.
        where: The subject: a class, split or histogram; "" for the whole dataset.
        value: The value found; for drift, the effect size.
        limit: The value allowed.
        passed: True if the dataset meets the limit.
        statistic: The test statistic, for drift; otherwise None.
        p: The p-value of the test, 0..1, for drift; otherwise None.
        note: What a person needs to know to mend it, or "".
    """

    name: str
    where: str
    value: float
    limit: float
    passed: bool
    statistic: float | None = None
    p: float | None = None
    note: str = ""

    @property
    def excess(self) -> float:
        """Distance of the value from the limit, positive if the check failed: the worst check has the largest."""
        distance = abs(self.value - self.limit)
        return -distance if self.passed else distance

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        p = f"; p {self.p:.1g}" if self.p is not None else ""
        note = f"; {self.note}" if self.note else ""
        return f"{self.name}{where}: {format_number(self.value)} (limit {format_number(self.limit)}{p}{note})"


def at_least(name: str, where: str, value: float, limit: float, note: str = "") -> DataCheck:
    """Checks that a value is not below a limit."""
    return DataCheck(name, where, value, limit, value >= limit, note=note)


def at_most(name: str, where: str, value: float, limit: float, note: str = "") -> DataCheck:
    """Checks that a value is not above a limit."""
    return DataCheck(name, where, value, limit, value <= limit, note=note)


def no_classes(name: str, what: str, classes: set[str]) -> DataCheck:
    """Checks that a set of unwanted classes is empty; names the classes if it is not.

    Args:
        name: The setting.
        what: What the classes are, such as "missing".
        classes: The classes.
    """
    return at_most(name, ": ".join([what, ", ".join(sorted(classes))]) if classes else what, len(classes), 0)


def format_number(value: float) -> str:
    """Returns a number for people: counts in full, fractions to four digits."""
    return str(value) if isinstance(value, int) else f"{value:.4g}"


_WIDTH = 10_000  # wide enough to wrap and truncate nothing
# Number of subjects per limit that the table and the error message name; validation.json has all of them.
_SHOWN, _NAMED = 10, 3


def format_table(checks: Sequence[DataCheck]) -> list[str]:
    """Returns the lines of a table: for each name the ten worst failures and the passed check closest to its limit."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("limit", "subject", "found", "allowed", "statistic", "p", ""):
        table.add_column(column, justify="right" if column in ("found", "allowed", "statistic", "p") else "left")
    for check, others in _shown_checks(checks):
        where = f"{check.where} (and {others} more)" if others else check.where
        test = ["" if value is None else f"{value:.3g}" for value in (check.statistic, check.p)]
        outcome = "ok" if check.passed else "FAILED"
        cells = (check.name, where, format_number(check.value), format_number(check.limit), *test, outcome)
        table.add_row(*map(Text, cells))
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None)
    with console.capture() as printed:
        console.print(table, no_wrap=True)
    return [line.rstrip() for line in printed.get().split("\n") if line]


def _shown_checks(checks: Sequence[DataCheck]) -> Iterator[tuple[DataCheck, int]]:
    """Yields the checks to show, in order, and the number of further checks that each represents."""
    for _, group in groupby(checks, lambda check: (check.name, check.p is None)):
        of_name = list(group)
        failed = [check for check in of_name if not check.passed]
        passed = [check for check in of_name if check.passed]
        shown = _worst(failed, _SHOWN)
        yield from ((check, 0) for check in shown[:-1])
        yield from ((check, len(failed) - len(shown)) for check in shown[-1:])
        if passed and passed[0].p is None:
            yield max(passed, key=lambda check: check.excess), len(passed) - 1
        else:
            yield from ((check, 0) for check in passed)


def _worst(checks: Sequence[DataCheck], most: int) -> list[DataCheck]:
    """Returns the checks with the largest excess, in their order."""
    worst = sorted(checks, key=lambda check: -check.excess)[:most]
    return [check for check in checks if check in worst]


def failure_message(checks: Sequence[DataCheck]) -> str:
    """Returns one line that names every violated limit, with the number of its subjects and the worst of them.

    Args:
        checks: All checks of the dataset.
    """
    failed = [check for check in checks if not check.passed]
    parts = list[str]()
    for name, group in groupby(failed, lambda check: check.name):
        of_name = list(group)
        worst = _worst(of_name, _NAMED)
        if len(of_name) == len(worst):
            parts += map(str, worst)
            continue
        total = sum(check.name == name for check in checks)
        examples = ", ".join(f"{check.where}: {format_number(check.value)}" for check in worst)
        limit = format_number(worst[0].limit)
        parts.append(f"{name} fails for {len(of_name)} of {total} (limit {limit}), such as {examples}")
    names = len({check.name for check in failed})
    return f"the dataset violates {names} limit{'s' if names > 1 else ''}: {'; '.join(parts)}"
