"""One limit, and how the dataset stands to it."""

from dataclasses import dataclass


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
