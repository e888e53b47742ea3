"""The rows of a manifest, read from CSV or JSON Lines into one form."""

from collections.abc import Callable, Iterator

from petalflow.errors import UsageError
from petalflow.source.manifests.csv_rows import read_csv
from petalflow.source.manifests.dialects import to_utf8
from petalflow.source.manifests.json_rows import is_jsonl, read_jsonl
from petalflow.source.manifests.row import Resolver, Row, RowMaker
from petalflow.source.options import PLAIN, SourceOptions

_HEAD_BYTES = 4096


def begins_like_rows(head: bytes) -> bool:
    """Returns True if a file with these first bytes is a manifest, whatever its name: its first row can be read."""
    lines = head if len(head) < _HEAD_BYTES else head[: head.rfind(b"\n") + 1] or head
    try:
        return next(read_rows(lines, "", lambda named: named), None) is not None
    except UsageError:
        return False


def read_rows(
    data: bytes,
    manifest: str,
    resolve: Resolver,
    note: Callable[[str], None] = lambda _: None,
    options: SourceOptions = PLAIN,
) -> Iterator[Row]:
    """Yields the rows of a manifest, in order.

    Args:
        data: Its contents: CSV, or JSON Lines if it begins with a brace.
        manifest: What to call it in messages.
        resolve: Returns an image's address for its name in a row.
        note: Called with a sentence about what is read differently from how it is written.
        options: May name columns.

    Raises:
        UsageError: If the manifest is malformed; names the line.
    """
    data = to_utf8(data, manifest)
    read = read_jsonl if is_jsonl(data[:_HEAD_BYTES]) else read_csv
    return read(data, manifest, RowMaker(resolve), note, options)
