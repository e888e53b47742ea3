"""The rows of a manifest, read from CSV or JSON Lines into one form."""

import codecs
from collections.abc import Callable, Iterator

from petalflow.source.manifests import vertex_import
from petalflow.source.manifests.csv_rows import read_csv
from petalflow.source.manifests.dialects import to_utf8
from petalflow.source.manifests.json_rows import is_jsonl, read_jsonl
from petalflow.source.manifests.row import Resolver, Row, RowMaker

_HEAD_BYTES = 4096


def begins_like_rows(head: bytes) -> bool:
    """Returns True if a file with these first bytes is a manifest, whatever its name."""
    head = head.removeprefix(codecs.BOM_UTF8)
    if is_jsonl(head):
        return b'"image"' in head or vertex_import.IMAGE.encode() in head
    first = head.split(b"\n")[0]
    return b"image" in first and b"label" in first


def read_rows(
    data: bytes, manifest: str, resolve: Resolver, note: Callable[[str], None] = lambda _: None
) -> Iterator[Row]:
    """Yields the rows of a manifest, in order.

    Args:
        data: Its contents: CSV, or JSON Lines if it begins with a brace.
        manifest: What to call it in messages.
        resolve: Returns an image's address for its name in a row.
        note: Called with a sentence about what is read differently from how it is written.

    Raises:
        UsageError: If the manifest is malformed; names the line.
    """
    data = to_utf8(data, manifest)
    read = read_jsonl if is_jsonl(data[:_HEAD_BYTES]) else read_csv
    return read(data, manifest, RowMaker(resolve), note)
