"""Warnings about labels that are read as they are written, but may mean something else.

```
cat;dog          several classes in one cell, separated by something else than |
NA, None, ?      no label
cat, with 0 in   not this class
a column
confidence
```
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from petalflow.source.manifests.columns import to_plain
from petalflow.source.manifests.row import Row

log = logging.getLogger(__name__)

_MARKS = re.compile(r"\s*[,;/+&]\s*")
_BLANKS = re.compile(r"\s+")
_MISSING = frozenset(("na", "n/a", "nan", "none", "null", "nil", "?", "-", "--", "#n/a"))
# Columns which may say that a label is wrong.
_SURE = frozenset(
    ("confidence", "score", "present", "ispresent", "presence", "verified", "isverified", "correct", "iscorrect")
)
_ZEROS, _ONES = frozenset(("0", "0.0", "false")), frozenset(("1", "1.0", "true"))


def warn_of_labels(rows: Sequence[Row], manifest: str) -> None:
    """Logs a warning for each kind of labels that may mean something else.

    Args:
        rows: The rows.
        manifest: What to call the manifest in messages.
    """
    counts = Counter(label for row in rows for label in row.labels)
    _warn_of_several(counts, manifest)
    _warn_of_missing(counts, manifest)
    _warn_of_negative(rows, manifest)


def _warn_of_several(counts: Mapping[str, int], manifest: str) -> None:
    found = {label: parts for label in counts if len(parts := _split(label, counts)) > 1}
    if found:
        label, parts = next(iter(sorted(found.items())))
        log.warning(
            "%s: %s like %r, which is read as a class of its own; write %s if these are several classes",
            *(manifest, _labels(sum(counts[one] for one in found)), label, "|".join(parts)),
        )


def _split(label: str, counts: Mapping[str, int]) -> list[str]:
    """Returns the classes that a label seems to consist of; [] if it seems to be one."""
    parts = list(filter(None, _MARKS.split(label)))
    if len(parts) > 1:
        return parts if any(part in counts for part in parts) else []
    words = _BLANKS.split(label)
    return words if all(word in counts for word in words) else []


def _warn_of_missing(counts: Mapping[str, int], manifest: str) -> None:
    found = {label: count for label, count in sorted(counts.items()) if label.casefold() in _MISSING}
    if found:
        log.warning(
            "%s: %s, and each is read as a class; leave these cells empty if they mean that there is no label",
            *(manifest, ", ".join(f"{_labels(count)} {label!r}" for label, count in found.items())),
        )


def _warn_of_negative(rows: Sequence[Row], manifest: str) -> None:
    pairs = Counter(pair for row in rows if row.labels for pair in row.slices if to_plain(pair[0]) in _SURE)
    for name in sorted({name for name, _ in pairs}):
        zeros, others = _count(pairs, name, _ZEROS), _count(pairs, name, _ONES)
        if zeros and others and zeros + others == sum(pairs[pair] for pair in pairs if pair[0] == name):
            log.warning(
                "%s: the column %s is 0 in %d of %d rows, whose labels are read all the same; remove these rows if 0 "
                "means that the image is not of this class",
                *(manifest, name, zeros, zeros + others),
            )


def _count(pairs: Mapping[tuple[str, str], int], name: str, values: Iterable[str]) -> int:
    return sum(count for (called, value), count in pairs.items() if called == name and value.strip().lower() in values)


def _labels(count: int) -> str:
    return f"{count:,} label is" if count == 1 else f"{count:,} labels are"
