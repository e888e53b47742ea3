"""Texts of others, such as names of files, made safe to be shown."""

import re

# What ends a line, moves a terminal's cursor, turns the direction of writing (so that gpj.exe looks like exe.jpg), or
# cannot be encoded.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Returns a text on one line, with an escape for each character that does something instead of being seen.

    >>> printable("two\nlines")
    'two\\nlines'
    """
    return _UNSEEN.sub(lambda match: ascii(match[0])[1:-1], text)
