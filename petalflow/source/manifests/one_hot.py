"""Rows of a table without a column of labels, which has a column of 0 and 1 for each class instead.

```
filename,daisy,rose,is_train
a.jpg,1,0,1
```

Columns of 0 and 1 may as well say something else about an image (smoker, is_train). So they are classes only if no
other column can hold the classes.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from petalflow.errors import UsageError
from petalflow.source.folder_names import split_of
from petalflow.source.manifests.columns import LABEL, LABEL_COLUMN, marks_split, may_hold_labels, to_plain
from petalflow.source.manifests.labels import check_labels
from petalflow.source.manifests.row import Row, RowMaker, error_at

# What is known about a person or a photo, beside its class. One of many such columns may be a class all the same.
_ATTRIBUTES = frozenset(
    {
        *("male", "female", "sex", "gender", "age", "old", "young", "smoker", "pregnant", "diabetic", "biopsied"),
        *("blurry", "blurred", "cropped", "flipped", "mirrored", "rotated", "occluded", "truncated", "grayscale"),
    }
)
_FEW = 3
_FLAGS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}

# A record: the number of the line at which it begins, and its fields.
Record = tuple[int, list[str]]


class _Column(NamedTuple):
    name: str
    at: int


def read_one_hot(
    records: Sequence[Record],
    roles: tuple[int, int, int, int],
    others: Sequence[tuple[str, int]],
    manifest: str,
    maker: RowMaker,
    note: Callable[[str], None],
    no_label: UsageError,
) -> Iterator[Row]:
    """Yields the rows of a table with a column of 0 and 1 for each class.

    Where a row has several labels, one without any means that the image has none of the classes.

    Args:
        records: The records below the header.
        roles: The positions of image, label, split and group.
        others: The names and positions of all other columns, sorted.
        manifest: What to call the manifest in messages.
        maker: Makes the rows.
        note: Called with a sentence about what is read differently from how it is written.
        no_label: What to raise if the table is not of this form.

    Raises:
        UsageError: If the table is not of this form, or if another column may hold the classes.
    """
    if not records:
        return
    columns = [_Column(*one) for one in others]
    strange = {one: wrong for one in columns if (wrong := _not_a_flag(records, one.at))}
    flags = [one for one in columns if one not in strange and not marks_split(one.name)]
    if len(flags) < 2:
        raise error_at(manifest, 1, no_label)
    splits = [one for one in strange if _holds_splits(records, one.at)]
    if unclear := [one for one in strange if one not in splits]:
        line, value = strange[unclear[0]]
        raise error_at(manifest, line, _other_values(unclear, value, flags))
    _check_all_are_classes(records, flags, manifest)
    chosen = [[one.name for one in flags if _is_set(values, one.at)] for _, values in records]
    several = any(len(names) > 1 for names in chosen)
    how = "one for each class" + (", of which an image may have several" if several else "")
    note(f"there is no column {LABEL}; the columns {_listed(flags)} hold only 0 and 1 and are read as {how}")
    slices = [one for one in columns if one not in flags]
    image, _, split, group = roles
    for (line, values), names in zip(records, chosen, strict=True):
        kept = [(one.name, values[one.at]) for one in slices if values[one.at]]
        try:
            row = maker.make(values[image], check_labels(names), values[split], values[group], kept)
        except UsageError as error:
            raise error_at(manifest, line, error) from None
        yield row._replace(is_complete=several)


def _check_all_are_classes(records: Sequence[Record], flags: Sequence[_Column], manifest: str) -> None:
    """Raises UsageError if one of the columns may be the label, or a split, rather than one of the classes."""
    if _have_one_each(records, flags):
        return
    attributes = _few_attributes(flags)
    if attributes and not any(may_hold_labels(one.name) for one in flags):
        others = [one for one in flags if one not in attributes] or attributes
        choice = " or ".join(f"{LABEL_COLUMN}={shlex.quote(one.name)}" for one in others)
        raise error_at(
            manifest,
            1,
            f"the columns {_listed(flags)} hold only 0 and 1; set {choice} if this column holds the classes 0 and 1, "
            f"or rename {_listed(attributes)} if each of these columns is a class",
        )
    for one in flags:
        rest = [other for other in flags if other != one]
        if may_hold_labels(one.name):
            raise error_at(
                manifest,
                1,
                f"the columns {_listed(flags)} hold only 0 and 1; set {LABEL_COLUMN}={shlex.quote(one.name)} if this "
                "column holds the classes 0 and 1, or rename it if each of these columns is a class",
            )
        if split_of(one.name) and len(rest) > 1 and _have_one_each(records, rest):
            raise error_at(
                manifest,
                1,
                f"the columns {_listed(flags)} hold only 0 and 1, and all images have one of {_listed(rest)}; remove "
                f"the column {one.name} if it is about the split, or rename it if it is a class, too",
            )


def _other_values(unclear: Sequence[_Column], value: str, flags: Sequence[_Column]) -> str:
    name = unclear[0].name
    one_of = (
        f"{LABEL_COLUMN}={shlex.quote(name)} if this column holds"
        if len(unclear) == 1
        else f"{LABEL_COLUMN} to the one with"
    )
    remove = f", or remove {_listed(unclear)} if the others are one for each class"
    return (
        f"{name} is {value!r}, while other columns ({_listed(flags)}) hold only 0 and 1, as one for each class does; "
        f"set {one_of} the classes{'' if _few_attributes(flags) else remove}"
    )


def _few_attributes(flags: Sequence[_Column]) -> list[_Column]:
    """Returns which of a few columns are known to be no classes."""
    found = [one for one in flags if to_plain(one.name).removeprefix("is") in _ATTRIBUTES]
    return found if len(flags) <= _FEW else []


def _listed(columns: Sequence[_Column]) -> str:
    return ", ".join(one.name for one in columns)


def _not_a_flag(records: Sequence[Record], at: int) -> tuple[int, str] | None:
    """Returns the first line with another value than 0 or 1, and this value."""
    return next(((line, values[at]) for line, values in records if values[at].strip().lower() not in _FLAGS), None)


def _is_set(values: Sequence[str], at: int) -> bool:
    return _FLAGS[values[at].strip().lower()]


def _have_one_each(records: Sequence[Record], flags: Sequence[_Column]) -> bool:
    return all(sum(_is_set(values, one.at) for one in flags) == 1 for _, values in records)


def _holds_splits(records: Sequence[Record], at: int) -> bool:
    found = {values[at] for _, values in records} - {""}
    return bool(found) and all(map(split_of, found))
