"""The classes in the cell of a table: one, several separated by |, or a list in the notation of some language.

```
daisy        daisy|rose        ["daisy", "rose"]        ['daisy', 'rose']        ('daisy', 'rose')
{daisy,"sea lion"}             in PostgreSQL
{"choices": ["daisy"]}         in Label Studio
```
"""

import json
import re
from collections.abc import Iterable

from petalflow.errors import UsageError

_QUOTED = r"""(?:'[^'"\\]*'|"[^'"\\]*")"""
# What Python prints for a list, a tuple or a set of texts. NumPy leaves the commas out.
_PYTHON = re.compile(rf"[\[({{]\s*{_QUOTED}(?:\s*,\s*{_QUOTED})*\s*,?\s*[\])}}]")
_NUMBERS = re.compile(r"[\[({]\s*[-+\d.]+(?:\s*,\s*[-+\d.]+)*\s*,?\s*[\])}]")
_ELEMENT = r"""(?:"[^"\\]*"|[^{}",:\\]*)"""
_POSTGRES = re.compile(rf"{{{_ELEMENT}(?:,{_ELEMENT})*}}")
_CALL = re.compile(r"(?:tensor|array|frozenset|set|list|tuple|dict|(?:np|numpy|torch|tf)\.\w+)\(.*\)", re.DOTALL)
_CHOICES = "choices"
_WRITE = 'write daisy|rose or ["daisy", "rose"]'


def parse_labels(text: str) -> tuple[str, ...]:
    """Returns the classes in a cell, sorted.

    Raises:
        UsageError: If a class name is not valid, or a list cannot be read.
    """
    text = text.strip()
    if text[:1] in ("[", "(", "{") and (names := _parse_list(text)) is not None:
        return check_labels(names)
    if _CALL.fullmatch(text):
        raise _unreadable(text, "looks like a value that Python printed")
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
    """Returns the names in a list, or None if the text is not a list but a name in brackets: (unknown)."""
    if _PYTHON.fullmatch(text):
        return [name[1:-1] for name in re.findall(_QUOTED, text)]
    if _NUMBERS.fullmatch(text):
        return _check_not_flags([number.strip() for number in text[1:-1].split(",") if number.strip()], text)
    if _POSTGRES.fullmatch(text):
        names = re.findall(rf"(?<=[{{,]){_ELEMENT}(?=[,}}])", text)
        return [name.strip('"') for name in names if name != "NULL"]
    if text[0] == "(":
        if text.endswith(")") and ("," in text or text[1:].lstrip()[:1] in ("'", '"')):
            raise _unreadable(text, "looks like a list but cannot be read as one")
        return None
    if not text.endswith("]" if text[0] == "[" else "}"):
        return None
    values = _decode(text)
    if isinstance(values, dict) and list(values) == [_CHOICES]:
        values = values[_CHOICES]
    if not isinstance(values, list) or not all(isinstance(name, str) for name in values):
        what = "a list" if text[0] == "[" else "a JSON object"
        raise _unreadable(text, f"looks like {what} but cannot be read as {'one' if text[0] == '[' else 'classes'}")
    return values


def _decode(text: str) -> object:
    try:
        return json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None


def _check_not_flags(numbers: list[str], text: str) -> list[str]:
    """Returns numbers; raises UsageError if they may be a 0 or 1 for each class."""
    if len(numbers) > 1 and all(re.fullmatch(r"[01](?:\.0*)?", number) for number in numbers):
        raise UsageError(
            f"the label {text[:80]!r} may be a 0 or 1 for each class, or the classes 0 and 1; write the names of the "
            "classes, as daisy|rose, or 0|1"
        )
    return numbers


def _unreadable(text: str, what: str) -> UsageError:
    return UsageError(f"the label {text[:80]!r} {what}; {_WRITE}")
