"""How a table of text is written: its encoding, the separator of its fields, blanks before quotes.

```
sep=;                 "a.jpg", "daisy"          image<tab>label      in UTF-16, as Excel's "Unicode text"
image;label
```
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from typing import NamedTuple

from petalflow.errors import UsageError
from petalflow.source.manifests.row import error_at

DELIMITERS = ",;\t"

# UTF-32 before UTF-16, whose mark it begins with.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SEPARATOR_LINE = re.compile(rb'"?sep=([^\s"]|\t)"?[ ,;\t]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)


class Dialect(NamedTuple):
    """How records are written.

    Attributes:
        delimiter: What separates fields.
        skips_blanks: True if blanks after a delimiter belong to no field.
        first_line: The number of the line with which the records begin.
    """

    delimiter: str
    skips_blanks: bool
    first_line: int


def to_utf8(data: bytes, manifest: str) -> bytes:
    """Returns a text in UTF-8 without a byte order mark; what has no mark of another encoding is taken for UTF-8.

    Raises:
        UsageError: If it is not in the encoding that its mark names.
    """
    if data.startswith(codecs.BOM_UTF8):
        return data.removeprefix(codecs.BOM_UTF8)
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decoded(data.removeprefix(mark), encoding, manifest)
    begins = [byte == 0 for byte in data[:4]]
    if begins == [False, True, False, True]:
        return _decoded(data, "utf-16-le", manifest)
    return _decoded(data, "utf-16-be", manifest) if begins == [True, False, True, False] else data


def _decoded(data: bytes, encoding: str, manifest: str) -> bytes:
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError as error:
        name = encoding.upper().rpartition("-")[0]
        raise UsageError(f"{manifest} is not valid {name} ({error.reason}); save it as UTF-8") from None


def split_off_separator(data: bytes) -> tuple[str, bytes]:
    """Returns the separator that a first line `sep=;` names, or "", and what follows it."""
    match = _SEPARATOR_LINE.match(data)
    return (match[1].decode("latin-1"), data[match.end() :]) if match else ("", data)


def find_dialect(data: bytes, manifest: str, delimiter: str, first_line: int) -> Dialect:
    """Returns the dialect with this delimiter that fits a table's contents, in UTF-8."""
    plain = Dialect(delimiter, False, first_line)
    if _has_blanks_before_quotes(data, delimiter):
        return plain._replace(skips_blanks=True)
    names = next(read_records(data, manifest, plain), (1, [""]))[1][1:]
    return plain._replace(skips_blanks=bool(names) and all(name.startswith(" ") for name in names))


def _has_blanks_before_quotes(data: bytes, delimiter: str) -> bool:
    if b' "' not in data:
        return False
    # Quoted fields are stepped over: blanks and quotes inside them mean nothing.
    field = rb'(?:\A|[\r\n]|%s)(?:"[^"]*(?:""[^"]*)*"|( +"))' % re.escape(delimiter.encode())
    return any(match[1] for match in re.finditer(field, data))


def read_records(data: bytes, manifest: str, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yields the line at which each record begins, and its fields; skips empty records.

    Raises:
        UsageError: If the text is not valid CSV, or not UTF-8; names the line.
    """
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
    before, line = dialect.first_line - 1, dialect.first_line
    reader = csv.reader(text, delimiter=dialect.delimiter, skipinitialspace=dialect.skips_blanks, strict=True)
    try:
        for values in reader:
            if any(values):
                yield line, values
            line = before + reader.line_num + 1
    except csv.Error as error:
        raise error_at(manifest, line, f"not valid CSV ({error}); look for an unclosed quote") from None
    except UnicodeDecodeError:
        raise not_utf8(data, manifest, dialect.first_line) from None


def not_utf8(data: bytes, manifest: str, first_line: int = 1) -> UsageError:
    """Returns the error for a text that is not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + first_line
        return error_at(
            manifest,
            line,
            f"the byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8 (in Excel: CSV UTF-8)",
        )
    return UsageError(f"{manifest} is not UTF-8; save it as UTF-8")
