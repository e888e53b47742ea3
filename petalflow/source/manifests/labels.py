"""The classes in the cell of a table: one, several separated by |, or a list in JSON or Python.

```
daisy        daisy|rose        ["daisy", "rose"]        ['daisy', 'rose']        ('daisy', 'rose')
```
"""

import json
import re
from collections.abc import Iterable

from petalflow.errors import UsageError

_QUOTED = r"""(?:'[^'"\\]*'|"[^'"\\]*")"""
# What Python prints for a list, a tuple or a set of texts. NumPy leaves the commas out.
_PYTHON = re.compile(rf"[\[({{]\s*{_QUOTED}(?:\s*,\s*{_QUOTED})*\s*,?\s*[\])}}]")
_WRITE = 'write daisy|rose or ["daisy", "rose"]'


def parse_labels(text: str) -> tuple[str, ...]:
    """Returns the classes in a cell, sorted.

    Raises:
        UsageError: If a class name is not valid, or a list cannot be read.
    """
    text = text.strip()
    if text[:1] in ("[", "(", "{") and (names := _parse_list(text)) is not None:
        return check_labels(names)
    return check_labels(text.split("|"), separated=True)


def check_labels(names: Iterable[str], *, separated: bool = False) -> tuple[str, ...]:
    """Returns class names without blanks around them, sorted and each once.

    Args:
        names: The names; empty ones are left out.
        separated: True if they are from a cell in which | separates them; False if from a list.

    Raises:
        UsageError: If a name has several lines or contains |, or has quotes around it that are not part of a list.
    """
    distinct = {name.strip() for name in names} - {""}
    for name in distinct:
        if len(name.splitlines()) != 1:
            raise UsageError(f"{name!r} is not a valid class name; it must be text on one line")
        if separated and len(name) > 1 and name[0] == name[-1] and name[0] in "'\"":
            raise UsageError(f"the class name {name} has quotes around it; remove them")
        if "|" in name and not separated:
            raise UsageError(f"{name!r} is not a valid class name; | separates classes")
    return tuple(sorted(distinct))


def _parse_list(text: str) -> list[str] | None:
    """Returns the names in a list, or None if the text is not a list."""
    if _PYTHON.fullmatch(text):
        return [name[1:-1] for name in re.findall(_QUOTED, text)]
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        names = json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"the label {text[:80]!r} looks like a list but cannot be read as one; {_WRITE}")
    return names
