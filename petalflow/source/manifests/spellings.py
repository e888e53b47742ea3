r"""Spellings of a name that mean the same file: `img\a%20b.JPG` and `img/a b.jpg`."""

import posixpath
import re
import unicodedata
from collections.abc import Callable, Mapping
from urllib.parse import unquote

IMAGE_ENDING = re.compile(r"\.(?:jpe?g|jfif|png|gif|bmp|webp|tiff?|heic|heif|avif|ico)\s*\Z", re.IGNORECASE)
_EDGE_BLANK = re.compile(r"(?:\A|[/\\])\s|\s(?:[/\\]|\Z)")
_LABEL_STUDIO = "?d="  # before the path in the address of a local file


def to_key(name: str) -> str:
    """Returns a name without what spellings differ in."""
    plain = unquote(name).replace("\\", "/").rpartition(_LABEL_STUDIO)[2]
    plain = posixpath.normpath("/".join(part.strip() for part in plain.split("/"))).lstrip("/")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", plain).casefold())


def changed_spellings(files: Mapping[str, str]) -> list[str]:
    """Returns in words what differs in the spelling of names and of their files."""
    return [words for words, is_changed in _SPELLINGS if any(is_changed(*pair) for pair in files.items())]


def _is_case_changed(name: str, file: str) -> bool:
    # From the end, as far as both go: folders may be left out of either. Endings are compared only if both have one.
    plain, called = (unicodedata.normalize("NFC", unquote(one)).replace("\\", "/") for one in (name, file))
    if not (IMAGE_ENDING.search(plain) and plain.lower().endswith(posixpath.splitext(called)[1].lower())):
        plain, called = IMAGE_ENDING.sub("", plain), IMAGE_ENDING.sub("", called)
    pairs = zip(reversed(plain.split("/")), reversed(called.split("/")), strict=False)
    return any(a.strip() != b.strip() and a.strip().casefold() == b.strip().casefold() for a, b in pairs)


_SPELLINGS: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
    (f"from the path behind {_LABEL_STUDIO}", lambda name, file: _LABEL_STUDIO in name and _LABEL_STUDIO not in file),
    ("with / for \\", lambda name, file: "\\" in name or "\\" in file),
    (
        "with %20 and the like decoded",
        lambda name, file: any("%" in one and unquote(one) != one for one in (name, file)),
    ),
    ("without blanks around names", lambda name, file: bool(_EDGE_BLANK.search(name) or _EDGE_BLANK.search(file))),
    (
        "with accents composed (NFC)",
        lambda name, file: unicodedata.is_normalized("NFC", name) != unicodedata.is_normalized("NFC", file),
    ),
    ("ignoring case", _is_case_changed),
)
