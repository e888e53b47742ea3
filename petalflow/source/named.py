"""Files whose paths say of which class they are, as a listing."""

import re
from collections.abc import Callable, Sequence

from petalflow.errors import UsageError
from petalflow.source.label_pattern import Told
from petalflow.source.listing import Item, Listing
from petalflow.source.tree import Tree, hashes
from petalflow.storage import File

# A part of a path that begins with a dot, or is one of these. (One expression, for a million names.)
_HIDDEN = re.compile(r"(?:^|/)(?:\.|(?:Thumbs\.db|__MACOSX)(?:/|\Z))")


def is_hidden(name: str) -> bool:
    """Tells whether a file is none that its owner would know of: what systems leave behind, or begins with a dot."""
    return _HIDDEN.search(name) is not None


def list_told(tree: Tree, files: Sequence[File], kind: str, tell: Callable[[str], Told | None]) -> Listing:
    """Returns the listing of a tree, hashing every file whose path tells its class.

    Args:
        tree: The files.
        files: All of them.
        kind: What the source is, for people.
        tell: The name of a file that is not hidden -> what it tells, or None.

    Raises:
        UsageError: If a name is not UTF-8.
    """
    told = {file.name: None if is_hidden(file.name) else tell(file.name) for file in files}
    wanted = [file for file in files if told[file.name] is not None]
    for file in wanted:
        _check_name(file.name)
    items = tuple(
        Item(file.name, (one.label,), sha256, file.size_bytes, one.split, one.group)
        for file, sha256 in zip(wanted, hashes(tree, wanted), strict=True)
        if (one := told[file.name]) is not None
    )
    return Listing(kind, items, tuple(name for name, one in told.items() if one is None))


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the name of {name!r} is not UTF-8; rename the file") from None
