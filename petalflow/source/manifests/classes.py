"""The classes of a table as a whole: at least two, and none of them in two spellings."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from petalflow.errors import UsageError

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?")


def check_classes(manifest: str, labels: Iterable[Sequence[str]]) -> None:
    """Checks the classes of all rows.

    Args:
        manifest: What to call it in messages.
        labels: The labels of each row.

    Raises:
        UsageError: If a manifest has no rows or fewer than two classes, or if two classes may be the same: Cat and cat,
            0 and 0.0.
    """
    rows, counts = 0, Counter[str]()
    for row_labels in labels:
        rows += 1
        counts.update(row_labels)
    if not rows:
        raise UsageError(f"{manifest} has no rows; add one per image below the column names")
    if len(counts) < 2:
        found = f"only {min(counts)!r}" if counts else "no row has a label"
        raise UsageError(f"{manifest} has fewer than two classes ({found} in {rows} rows); label two or more")
    _check_distinct(manifest, counts)


def _check_distinct(manifest: str, counts: Counter[str]) -> None:
    by_case, by_number = defaultdict[str, list[str]](list), defaultdict[Decimal, list[str]](list)
    for name in sorted(counts):
        by_case[name.casefold()].append(name)
        if _NUMBER.fullmatch(name):
            by_number[Decimal(name)].append(name)
    for how, groups in (("differ only by case", by_case), ("are the same number", by_number)):
        found = [names for names in groups.values() if len(names) > 1]
        if found:
            named = " and ".join(f"{name} ({_rows(counts[name])})" for name in found[0])
            more = f", and {len(found) - 1:,} more classes are written in several ways" if len(found) > 1 else ""
            raise UsageError(f"{manifest}: the classes {named} {how}{more}; write each class in one way")


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
