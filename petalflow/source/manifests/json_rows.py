"""Rows of a JSON Lines file: one object per line."""

import io
import json
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

from petalflow.errors import UsageError
from petalflow.source.manifests import vertex_import
from petalflow.source.manifests.columns import (
    GROUP,
    IMAGE,
    LABEL,
    SAMPLE,
    SPLIT,
    check_distinct,
    check_name,
    find_columns,
    missing_columns,
)
from petalflow.source.manifests.dialects import not_utf8
from petalflow.source.manifests.labels import check_labels
from petalflow.source.manifests.row import Row, RowMaker, error_at
from petalflow.source.options import SourceOptions


def is_jsonl(head: bytes) -> bool:
    """Returns True if a file with these first bytes, in UTF-8, is JSON Lines."""
    return head.lstrip().startswith(b"{")


def read_jsonl(
    data: bytes, manifest: str, maker: RowMaker, note: Callable[[str], None], options: SourceOptions
) -> Iterator[Row]:
    """Yields the rows of a JSON Lines file.

    Args:
        data: Its contents, in UTF-8.
        manifest: What to call it in messages.
        maker: Makes the rows.
        note: Called with a sentence about what is read differently from how it is written.
        options: May name columns.

    Raises:
        UsageError: If the file is malformed; names the line.
    """
    keys: dict[str, None] = {}  # all keys seen so far, in order
    known: dict[tuple[str, ...], dict[str, str]] = {}  # what the keys of a line hold
    is_labelled = False
    lines = _read_lines(data, manifest)
    sample = list(islice(lines, SAMPLE))

    def some_values(name: str) -> list[str]:
        found = (values.get(name) for _, values in sample)
        return [value if isinstance(value, str) else "" for value in found]

    for line, values in chain(sample, lines):
        try:
            if not values.keys() <= keys.keys():
                for name in values:
                    check_name(name)
                keys |= dict.fromkeys(values)
                check_distinct(keys)
            if (columns := known.get(tuple(values))) is None:
                columns = known[tuple(values)] = find_columns(list(values), note, some_values, options)
                is_labelled = is_labelled or LABEL in columns
            yield _make_row(values, columns, maker, options)
        except UsageError as error:
            raise error_at(manifest, line, error) from None
    if keys and not is_labelled:
        found = next(iter(known.values()))
        raise UsageError(f"{manifest}: {missing_columns(found, keys, options)}")


def _read_lines(data: bytes, manifest: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the number of each line that is not empty, and its object."""
    decoder = json.JSONDecoder(
        object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=_refuse_constant
    )
    for line, raw in enumerate(io.BytesIO(data), 1):
        if not raw.strip():
            continue
        try:
            yield line, _decode(decoder, raw)
        except UnicodeDecodeError:
            raise not_utf8(data, manifest) from None
        except UsageError as error:
            raise error_at(manifest, line, error) from None


def _decode(decoder: json.JSONDecoder, raw: bytes) -> dict[str, Any]:
    text = raw.decode()
    try:
        values = decoder.decode(text)
    except (json.JSONDecodeError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else "too deep"
        raise UsageError(f"not valid JSON ({why}); write one object per line") from None
    if not isinstance(values, dict):
        raise UsageError('not an object; write lines like {"image": "a.jpg", "label": "daisy"}')
    if "\\u" in text:
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UsageError("an escape like \\ud83d is half of a character; write both halves") from None
    return vertex_import.as_manifest(values) if vertex_import.IMAGE in values else values


def _make_row(values: dict[str, Any], columns: dict[str, str], maker: RowMaker, options: SourceOptions) -> Row:
    if IMAGE not in columns:
        raise missing_columns(columns, values, options)
    image, split, group = (_text(role, values.get(columns.get(role, role))) for role in (IMAGE, SPLIT, GROUP))
    label = values.get(columns.get(LABEL, LABEL))
    labels = check_labels([_text(LABEL, one) for one in label]) if isinstance(label, list) else _text(LABEL, label)
    used = columns.values()
    slices = [(name, _text(name, value)) for name, value in sorted(values.items()) if name not in used]
    return maker.make(image, labels, split, group, [pair for pair in slices if pair[1]])


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):  # numbers are kept as text
        raise UsageError(f"{name} is {json.dumps(value)[:80]}; it must be text or a number")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise UsageError("a key occurs twice; remove one")
    return values


def _refuse_constant(name: str) -> None:
    raise UsageError(f"{name} is not valid JSON; write null for a missing value")
