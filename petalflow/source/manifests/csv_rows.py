"""Rows of a CSV file: with a column of labels, with a column of 0 and 1 for each class, or without a header."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from petalflow.errors import UsageError
from petalflow.source.manifests import vertex_import
from petalflow.source.manifests.columns import (
    IMAGE,
    IMAGE_COLUMN,
    LABEL,
    LABEL_COLUMN,
    ROLES,
    SAMPLE,
    Values,
    check_distinct,
    check_name,
    find_columns,
    find_only_other,
    missing_columns,
    no_columns,
)
from petalflow.source.manifests.dialects import (
    DELIMITERS,
    Dialect,
    find_dialect,
    read_records,
    split_off_separator,
)
from petalflow.source.manifests.one_hot import Record, read_one_hot
from petalflow.source.manifests.row import Row, RowMaker, error_at
from petalflow.source.options import SourceOptions

Note = Callable[[str], None]

# What pandas calls the column of row numbers when it reads a file that it has written itself.
_ROW_NUMBERS = re.compile(r"Unnamed: \d+(?:\.\d+)*")


class _Layout(NamedTuple):
    """Which field holds what. A column that does not exist is read from beyond the last field, where "" is added.

    Attributes:
        width: The number of columns.
        roles: The positions of image, label, split and group.
        others: The names and positions of all other columns, sorted.
        numbers: The positions of columns that only number the rows.
        unnamed: The positions of the last columns, if they have no names; they must be empty.
    """

    width: int
    roles: tuple[int, int, int, int]
    others: list[tuple[str, int]]
    numbers: list[int]
    unnamed: list[int]


def read_csv(data: bytes, manifest: str, maker: RowMaker, note: Note, options: SourceOptions) -> Iterator[Row]:
    """Yields the rows of a CSV file.

    Args:
        data: Its contents, in UTF-8.
        manifest: What to call it in messages.
        maker: Makes the rows.
        note: Called with a sentence about what is read differently from how it is written.
        options: May name columns.

    Raises:
        UsageError: If the file is malformed; names the line.
    """
    separator, data = split_off_separator(data)
    dialect, line, header = _find_header(data, manifest, separator or DELIMITERS, 2 if separator else 1)
    records = read_records(data, manifest, dialect)
    if vertex_import.is_record(header):
        note("there is no header; each line is read as [split,]image,label, as in Vertex AI's import files")
        for setting, name in ((IMAGE_COLUMN, options.image_column), (LABEL_COLUMN, options.label_column)):
            if name is not None:
                note(f"{setting}={name} has no effect, since the columns have no names")
        for line, values in records:
            try:
                yield maker.make(*vertex_import.from_record(values), "", ())
            except UsageError as error:
                raise error_at(manifest, line, error) from None
        return
    next(records, None)
    sample = list(islice(records, SAMPLE))
    try:
        layout = _lay_out(header, note, _values_of(header, sample), options)
    except UsageError as error:
        raise error_at(manifest, line, error) from None
    fields = _fields(chain(sample, records), layout, manifest, dialect.delimiter)
    if layout.roles[1] < layout.width:
        yield from _labelled(fields, layout, manifest, maker)
    else:
        no_label = missing_columns({IMAGE: header[layout.roles[0]]}, header, options)
        yield from read_one_hot(list(fields), layout.roles, layout.others, manifest, maker, note, no_label)


def _find_header(data: bytes, manifest: str, delimiters: str, first_line: int) -> tuple[Dialect, int, list[str]]:
    """Returns the dialect that best fits the first record, its line, and its fields without blanks."""
    found, failure = list[tuple[int, Dialect, int, list[str]]](), None
    for delimiter in delimiters:
        try:
            dialect = find_dialect(data, manifest, delimiter, first_line)
            line, values = next(read_records(data, manifest, dialect), (1, []))
        except UsageError as error:
            failure = failure or error
            continue
        names = [name.strip() for name in values]
        found.append((_count_known(names) * 1000 + len(names), dialect, line, names))
    if failure and not found:
        raise failure
    _, dialect, line, names = max(found, key=lambda one: one[0])
    return dialect, line, names


def _count_known(names: Sequence[str]) -> int:
    """Returns how many of the columns image and label are among these."""
    try:
        return len({IMAGE, LABEL}.intersection(find_columns(names, lambda _: None)))
    except UsageError:  # several columns that may be the same
        return 1


def _values_of(header: Sequence[str], records: Sequence[Record]) -> Values:
    """Returns the function from the name of a column to its values in some records."""

    def values(name: str) -> list[str]:
        at = header.index(name)
        return [fields[at] if at < len(fields) else "" for _, fields in records]

    return values


def _lay_out(names: Sequence[str], note: Note, values: Values, options: SourceOptions) -> _Layout:
    """Returns which column holds what, by their names."""
    if not names:
        raise no_columns()
    width = len(names)
    numbers = [at for at, name in enumerate(names) if (not name and at == 0) or _ROW_NUMBERS.fullmatch(name)]
    unnamed = [at for at in range(1, width) if not any(names[at:])]
    named = {at: name for at, name in enumerate(names) if at not in (*numbers, *unnamed)}
    for name in named.values():
        check_name(name)
    check_distinct(named.values())
    columns = find_columns(list(named.values()), note, values, options)
    if not options.label_column:
        columns = find_only_other(list(named.values()), columns, note, values)
    if IMAGE not in columns:
        if not names[0]:
            raise UsageError("the first column has no name, and none is called image; name the one with the images")
        raise missing_columns(columns, names, options)
    if LABEL not in columns and options.label_column:
        raise missing_columns(columns, names, options)
    at = {name: at for at, name in named.items()}
    image, label, split, group = (at[columns[role]] if role in columns else width for role in ROLES)
    others = sorted((name, at) for at, name in named.items() if name not in columns.values())
    if numbers:
        note(f"the column {names[numbers[0]] or 'without a name'} is ignored, since it numbers the rows")
    return _Layout(width, (image, label, split, group), others, numbers, unnamed)


def _fields(records: Iterator[Record], layout: _Layout, manifest: str, delimiter: str) -> Iterator[Record]:
    """Yields the fields of each record below the header, with "" for those that are missing."""
    width, (image, _, split, _) = layout.width, layout.roles
    empty, numbers = layout.unnamed, layout.numbers
    begins_with_split = (split, image) == (0, 1)
    for line, values in records:
        if begins_with_split and len(values) < width and vertex_import.lacks_ml_use(values):
            values.insert(0, "")
        if len(values) > width and any(values[width:]):
            raise error_at(
                manifest,
                line,
                f"{len(values)} fields for {width} columns; quote fields that contain {delimiter!r}, and separate "
                "several labels by |",
            )
        values[width:] = [""]
        values += [""] * (width + 1 - len(values))
        for at in (*numbers, *empty):
            text = values[at].strip()
            if text and not (at in numbers and text.isdecimal()):
                raise error_at(manifest, line, f"{values[at]!r} is in a column without a name; name it or remove it")
        yield line, values


def _labelled(records: Iterator[Record], layout: _Layout, manifest: str, maker: RowMaker) -> Iterator[Row]:
    """Yields the rows of a table with a column of labels."""
    (image, label, split, group), others = layout.roles, layout.others
    for line, values in records:
        slices = [(name, values[at]) for name, at in others if values[at]]
        try:
            yield maker.make(values[image], values[label], values[split], values[group], slices)
        except UsageError as error:
            raise error_at(manifest, line, error) from None
