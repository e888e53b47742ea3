"""Which column of a table holds what, by the names that people give to columns."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from petalflow.errors import UsageError, did_you_mean

IMAGE, LABEL, SPLIT, GROUP = ROLES = ("image", "label", "split", "group")
_FORM = "the first line must name the columns: image,label[,split][,group][,more]"

# In small letters, without blanks and underscores. A name of an earlier tuple goes before one of a later tuple.
_CALLED = {
    IMAGE: (
        ("image",),
        ("filename", "filepath", "file", "path", "imagename", "imagepath", "imagefile"),
        ("imageid", "id"),
    ),
    LABEL: (("label",), ("labels", "class", "classes", "classname", "labelname", "target", "category")),
    SPLIT: (("split",), ("mluse",)),
    GROUP: (("group",),),
}


def find_columns(names: Sequence[str], note: Callable[[str], None]) -> dict[str, str]:
    """Returns the columns by what they hold: "image", "label", "split" or "group", as far as they exist.

    Args:
        names: The names of all columns.
        note: Called with a sentence about each column that is read by another name.

    Raises:
        UsageError: If two columns may be the same.
    """
    found = {role: name for role in ROLES if (name := _find(role, names)) is not None}
    for role, name in found.items():
        if name.casefold() != role:
            note(f"the column {name} is read as {role}")
    return found


def _find(role: str, names: Sequence[str]) -> str | None:
    if role in names:
        return role
    plain = {name: "".join(filter(str.isalnum, name.casefold())) for name in names}
    for called in _CALLED[role]:
        found = [name for name in names if plain[name] in called]
        if len(found) > 1:
            raise UsageError(
                f"the columns {' and '.join(found)} may each be the {role}; rename the right one to {role}"
            )
        if found:
            return found[0]
    return None


def missing_column(role: str, names: Iterable[str]) -> UsageError:
    """Returns the error for a table without a column that it must have."""
    return UsageError(f"the column {role} is missing: {did_you_mean(role, filter(None, names))} ({_FORM})")


def no_columns() -> UsageError:
    """Returns the error for a table without a line."""
    return UsageError(f"the manifest is empty; {_FORM}")


def check_name(name: str) -> None:
    """Raises UsageError if a column's name cannot be printed on one line."""
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise UsageError(f"{name!r} is not a valid column name; rename or remove it")


def check_distinct(names: Iterable[str]) -> None:
    """Raises UsageError if two columns have the same name, ignoring case."""
    twice = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
    if twice:
        raise UsageError(f"more than one column is named {twice[0]!r}, ignoring case; keep only one")
