"""The rows of a manifest, read from CSV or JSON Lines into one form."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from petalflow.errors import UsageError, did_you_mean
from petalflow.source.manifests import vertex_import
from petalflow.splits import SPLIT_NAMES

# Returns an image's address for its name in a row, or raises UsageError without naming the row.
Resolver = Callable[[str], str]

_IMAGE, _LABEL, _SPLIT, _GROUP = _COLUMNS = ("image", "label", "split", "group")
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t"
_FORM = "the first line must name the columns: image,label[,split][,group][,more]"


class Row(NamedTuple):
    """A row; "" or () stands for a missing value, so that rows can be sorted.

    Attributes:
        address: The image's address.
        labels: Its classes, sorted.
        split: "train", "validation" or "test".
        group: Images of one group stay in one split.
        slices: Its other attributes, name and value, sorted by name.
    """

    address: str
    labels: tuple[str, ...]
    split: str
    group: str
    slices: tuple[tuple[str, str], ...]


def begins_like_rows(head: bytes) -> bool:
    """Returns True if a file with these first bytes is a manifest, whatever its name."""
    if _is_jsonl(head):
        return b'"image"' in head or vertex_import.IMAGE.encode() in head
    first = head.removeprefix(_BOM).split(b"\n")[0]
    return b"image" in first and b"label" in first


def read_rows(data: bytes, manifest: str, resolve: Resolver) -> Iterator[Row]:
    """Yields the rows of a manifest, in order.

    Args:
        data: Its contents: CSV, or JSON Lines if it begins with a brace.
        manifest: What to call it in messages.
        resolve: Returns an image's address for its name in a row.

    Raises:
        UsageError: If the manifest is malformed; names the line.
    """
    read = _from_jsonl if _is_jsonl(data[:4096]) else _from_csv
    return read(data, manifest, _RowMaker(resolve))


def _is_jsonl(head: bytes) -> bool:
    return head.removeprefix(_BOM).lstrip().startswith(b"{")


class _RowMaker:
    """Makes rows from texts; values that many rows share are kept in memory once."""

    def __init__(self, resolve: Resolver) -> None:
        self._resolve = resolve
        self._labels: dict[str, tuple[str, ...]] = {}
        self._shared: dict[Any, Any] = {}

    def make(self, image: str, label: str, split: str, group: str, slices: Iterable[tuple[str, str]]) -> Row:
        """Returns a row; `slices` must be sorted by name, and none empty."""
        if not image.strip():
            raise UsageError("the row does not name an image; add its path, or remove the row")
        group = group.strip()  # otherwise "p1 " would be another patient
        address, share = self._resolve(image), self._shared.setdefault
        labels = self._labels.get(label)
        if labels is None:
            labels = self._labels[label] = _labels(label)
        together = tuple([share(pair, pair) for pair in slices])
        return Row(address, labels, _split(split) if split else "", share(group, group), share(together, together))


def _labels(text: str) -> tuple[str, ...]:
    names = {name.strip() for name in text.split("|")} - {""}
    for name in names:
        if len(name.splitlines()) != 1:
            raise UsageError(f"{name!r} is not a valid class name; it must be text on one line")
    return tuple(sorted(names))


def _split(text: str) -> str:
    name = text.strip().lower()
    if name and name not in SPLIT_NAMES:
        raise UsageError(f"{text!r} is not a split; write train, validation or test, or leave it empty")
    return SPLIT_NAMES[name] if name else ""


def _from_csv(data: bytes, manifest: str, maker: _RowMaker) -> Iterator[Row]:
    delimiter, header = _header(data, manifest)
    width = len(header)
    # A missing column is read from beyond the last one, where every row is padded with an empty field.
    image, label, split, group = (header.index(name) if name in header else width for name in _COLUMNS)
    others = sorted((name, at) for at, name in enumerate(header) if name not in _COLUMNS)
    records = _records(data, manifest, delimiter)
    next(records)
    for line, values in records:
        if len(values) > width:
            raise _error(
                manifest, line, f"{len(values)} fields for {width} columns; quote fields that contain {delimiter!r}"
            )
        values += [""] * (width + 1 - len(values))
        slices = [(name, values[at]) for name, at in others if values[at]]
        try:
            yield maker.make(values[image], values[label], values[split], values[group], slices)
        except UsageError as error:
            raise _error(manifest, line, error) from None


def _records(data: bytes, manifest: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the line at which each record begins, and its fields; skips empty records."""
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
    reader, line = csv.reader(text, delimiter=delimiter, strict=True), 1
    try:
        for values in reader:
            if any(values):
                yield line, values
            line = reader.line_num + 1
    except csv.Error as error:
        raise _error(manifest, line, f"not valid CSV ({error}); look for an unclosed quote") from None
    except UnicodeDecodeError:
        raise _not_utf8(data, manifest) from None


def _header(data: bytes, manifest: str) -> tuple[str, list[str]]:
    """Returns the delimiter that best fits the first line, and the names of the columns."""
    headers, failure = list[tuple[int, str, int, list[str]]](), None
    for delimiter in _DELIMITERS:
        try:
            line, values = next(_records(data, manifest, delimiter), (1, []))
        except UsageError as error:
            failure = failure or error
            continue
        names = [name.strip() for name in values]
        known = len({_IMAGE, _LABEL}.intersection(names))
        headers.append((known * 1000 + len(names), delimiter, line, names))
    if failure and not headers:
        raise failure
    _, delimiter, line, names = max(headers, key=lambda header: header[0])
    try:
        _check_header(names)
    except UsageError as error:
        raise _error(manifest, line, error) from None
    return delimiter, names


def _check_header(names: Sequence[str]) -> None:
    if not names:
        raise UsageError(f"the manifest is empty; {_FORM}")
    for name in names:
        _check_name(name)
    for name in (_IMAGE, _LABEL):
        if name not in names:
            raise UsageError(f"the column {name} is missing: {did_you_mean(name, names)} ({_FORM})")
    _check_distinct(names)


def _check_name(name: str) -> None:
    """Checks that a slice's name can be printed on one line."""
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise UsageError(f"{name!r} is not a valid column name; rename or remove it")


def _check_distinct(names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
    if twice:
        raise UsageError(f"more than one column is named {twice[0]!r}, ignoring case; keep only one")


def _from_jsonl(data: bytes, manifest: str, maker: _RowMaker) -> Iterator[Row]:
    decoder = json.JSONDecoder(
        object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=_refuse_constant
    )
    keys: dict[str, None] = {}  # all keys seen so far, in order
    for line, raw in enumerate(io.BytesIO(data.removeprefix(_BOM)), 1):
        if not raw.strip():
            continue
        try:
            values = _decode(decoder, raw)
            if not values.keys() <= keys.keys():
                for name in values:
                    _check_name(name)
                keys |= dict.fromkeys(values)
                _check_distinct(keys)
            yield _make_row(values, maker)
        except UnicodeDecodeError:
            raise _not_utf8(data, manifest) from None
        except UsageError as error:
            raise _error(manifest, line, error) from None
    if keys and _LABEL not in keys:
        raise UsageError(f"{manifest}: no line has the key {_LABEL}: {did_you_mean(_LABEL, keys)}")


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


def _make_row(values: dict[str, Any], maker: _RowMaker) -> Row:
    if _IMAGE not in values:
        raise UsageError(f"the key {_IMAGE} is missing: {did_you_mean(_IMAGE, values)}")
    image, split, group = (_text(name, values.get(name)) for name in (_IMAGE, _SPLIT, _GROUP))
    label = values.get(_LABEL)
    if isinstance(label, list):
        names = [_text(_LABEL, one) for one in label]
        if wrong := [name for name in names if "|" in name]:
            raise UsageError(f"{wrong[0]!r} is not a valid class name; | separates classes")
        label = "|".join(names)
    slices = [(name, _text(name, value)) for name, value in sorted(values.items()) if name not in _COLUMNS]
    return maker.make(image, _text(_LABEL, label), split, group, [pair for pair in slices if pair[1]])


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


def _error(manifest: str, line: int, what: object) -> UsageError:
    return UsageError(f"{manifest}, line {line}: {what}")


def _not_utf8(data: bytes, manifest: str) -> UsageError:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _error(manifest, line, f"the byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8")
    return UsageError(f"{manifest} is not UTF-8; save it as UTF-8")
