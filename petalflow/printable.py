"""Text from elsewhere, such as file names, made safe to print."""

import re

# Characters that end a line, move a terminal's cursor, change the direction of text (so that gpj.exe looks like
# exe.jpg), or cannot be encoded.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Returns a text on one line, with an escape for each control or invisible character.

    >>> printable("two\nlines")
    'two\\nlines'
    """
    return _INVISIBLE.sub(lambda match: ascii(match[0])[1:-1], text)
