"""The column of a table that says which split an image is in, if it is not called split.

```
Usage: Training, PublicTest        phase: train, val        fold: 0, 1, 2        is_train: 0, 1
```
"""

import logging
from collections import defaultdict
from collections.abc import Sequence

from petalflow.errors import UsageError
from petalflow.source.folder_names import split_of
from petalflow.source.manifests.columns import SPLIT, marks_split, to_plain
from petalflow.source.manifests.row import Row
from petalflow.splits import SPLIT_NAMES

log = logging.getLogger(__name__)

_CALLED = frozenset(
    ("usage", "set", "subset", "phase", "fold", "partition", "part", "dataset", "datasplit", "splitname", "splits")
)
_FLAGS = frozenset(("0", "1", "0.0", "1.0", "false", "true"))


def read_splits(rows: Sequence[Row], manifest: str) -> list[Row]:
    """Returns rows with the splits that a column holds, unless there is a column of that name.

    Args:
        rows: The rows.
        manifest: What to call the manifest in messages.

    Raises:
        UsageError: If two columns may hold the splits.
    """
    if any(row.split for row in rows):
        return list(rows)
    values: dict[str, set[str]] = defaultdict(set)
    for name, value in {pair for row in rows for pair in row.slices}:
        values[name].add(value)
    found = [name for name in sorted(values) if to_plain(name) in _CALLED and _are_splits(values[name])]
    if len(found) > 1:
        raise UsageError(
            f"{manifest}: the columns {' and '.join(found)} may each be the {SPLIT}; rename the right one to {SPLIT}"
        )
    for name in sorted({*values} - {*found}):
        _warn_of_unused(manifest, name, values[name])
    if not found:
        return list(rows)
    (name,) = found
    meanings = {value: split for value in sorted(values[name]) if (split := _to_split(value))}
    log.info(
        "%s: the column %s is read as %s (%s)",
        *(manifest, name, SPLIT, ", ".join(f"{value}: {split}" for value, split in meanings.items())),
    )
    return [_with_split(row, name, meanings) for row in rows]


def _with_split(row: Row, name: str, meanings: dict[str, str]) -> Row:
    slices = dict(row.slices)
    return row._replace(split=meanings.get(slices.pop(name, ""), ""), slices=tuple(slices.items()))


def _warn_of_unused(manifest: str, name: str, values: set[str]) -> None:
    plain, others = to_plain(name), sorted(value for value in values if not _to_split(value))
    if marks_split(name) and {value.strip().lower() for value in values} <= _FLAGS:
        why = "only says yes or no"
    elif plain in _CALLED and len(others) < len(values) and others:
        why = f"holds splits, but also {others[0]!r}"
    elif "fold" in plain and all(value.strip().isdecimal() for value in values):
        why = "holds numbers of folds"
    elif {value.strip().lower() for value in values} <= {*SPLIT_NAMES} and _are_splits(values):
        why = "holds names of splits"
    else:
        return
    log.warning(
        "%s: the column %s %s and is not used as the %s; write a column %s with train, validation and test to use it",
        *(manifest, name, why, SPLIT, SPLIT),
    )


def _are_splits(values: set[str]) -> bool:
    """Returns True if all values are splits, and not all of them the same."""
    splits = set(map(_to_split, values))
    return None not in splits and len(splits) > 1


def _to_split(value: str) -> str | None:
    return SPLIT_NAMES.get(value.strip().lower()) or split_of(value)
