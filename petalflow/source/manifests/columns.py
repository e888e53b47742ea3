"""Which column of a table holds what, by the names that people give to columns, and by what the columns hold."""

import difflib
import posixpath
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from petalflow.errors import UsageError, did_you_mean
from petalflow.source.folder_names import split_of
from petalflow.source.manifests.spellings import IMAGE_ENDING
from petalflow.source.options import PLAIN, SourceOptions

IMAGE, LABEL, SPLIT, GROUP = ROLES = ("image", "label", "split", "group")
IMAGE_COLUMN, LABEL_COLUMN = map(SourceOptions.full_name, ("image_column", "label_column"))
_SETTINGS = {IMAGE: IMAGE_COLUMN, LABEL: LABEL_COLUMN}
_FORM = "the first line must name the columns: image,label[,split][,group][,more]"

# In small letters, without blanks and underscores. A name of an earlier tuple goes before one of a later tuple.
_NUMBERS = ("imageid", "imgid", "idcode", "id")  # of an image, or of a row
_CALLED = {
    IMAGE: (
        ("image",),
        (
            *("filename", "filepath", "file", "path", "img"),
            *("imagename", "imagepath", "imagefile", "imagefilename", "imgname", "imgpath", "imgfile", "imgfilename"),
        ),
        _NUMBERS,
    ),
    LABEL: (("label",), ("labels", "class", "classes", "classname", "labelname", "target", "category")),
    SPLIT: (("split",), ("mluse",)),
    GROUP: (("group",),),
}
_NUMBERED_LABEL = re.compile(r"(?:label|class|category|target|tag)s?\d+")
# Labels by the subject of a data set. Such a column is not read as the label, but may well be it.
_LABELS_OF_A_FIELD = frozenset(("diagnosis", "disease", "species", "breed", "type", "outcome", "finding", "grade", "y"))
# Columns of files that belong to an image without being it.
_COMPANION = re.compile(r"(?i)mask|seg|annot|thumb|preview|xml|json")
_STORED = re.compile(r"\s*(?:file|gs|gcs|s3)://.+", re.DOTALL)
_BEGINS_WITH_IS = re.compile("[Ii]s(?![a-z])")
_SHARE = 0.9
_DISTINCT = 0.5  # a class has two images or more, on average
_MAX_NAMES = 12  # in a message
SAMPLE = 1000  # rows by whose values columns are told apart

# The name of a column -> some of its values, for all columns of the same rows.
Values = Callable[[str], Sequence[str]]


def find_columns(
    names: Sequence[str],
    note: Callable[[str], None],
    values: Values = lambda _: (),
    options: SourceOptions = PLAIN,
) -> dict[str, str]:
    """Returns the columns by what they hold: "image", "label", "split" or "group", as far as they exist.

    Args:
        names: The names of all columns.
        note: Called with a sentence about each column that is read by another name.
        values: Some of their values.
        options: May name columns.

    Raises:
        UsageError: If two columns may be the same.
    """
    labels = [name for name in names if to_plain(name) in sum(_CALLED[LABEL], ())]
    chosen = _chosen(options)
    found = dict[str, str]()
    for role in ROLES:
        if name := chosen.get(role):
            choice = name if name in names else None
        elif role == IMAGE:
            choice = _find_image(names, values)
        else:
            choice = _find_label(names) if role == LABEL else _only(role, _called(role, names))
        if choice is not None:
            found[role] = choice
    for role, name in found.items():
        if name.casefold() != role:
            note(f"the column {name} is read as {role}")
    for name in labels:
        if LABEL in found and name not in found.values():
            note(f"the column {name} is not read as {LABEL}; set {_set(LABEL, name)} to read it instead")
    if image := found.get(IMAGE):
        for name in _holding_images(names, values):
            if name not in found.values() and not _are_same(values(name), values(image)):
                note(f"the column {name} names images, too, which are not read; set {_set(IMAGE, name)} to read them")
    return found


def find_only_other(
    names: Sequence[str], found: dict[str, str], note: Callable[[str], None], values: Values
) -> dict[str, str]:
    """Returns the columns with the label, if there are only two and the other one is the image.

    Args:
        names: The names of all columns.
        found: The columns by what they hold.
        note: Called with a sentence about the column.
        values: Some of their values. Those of a label repeat; texts and boxes hardly do.
    """
    others = [name for name in names if name not in found.values()]
    if len(names) != 2 or LABEL in found or IMAGE not in found or len(others) != 1:
        return found
    (name,) = others
    filled = list(filter(str.strip, values(name)))
    if len(set(filled)) > _DISTINCT * len(filled) or _are_images(filled) or _COMPANION.search(name):
        return found
    note(f"the column {name} is read as {LABEL}, since it is the only one beside the image")
    return {**found, LABEL: name}


def _find_label(names: Sequence[str]) -> str | None:
    numbered = [name for name in names if _NUMBERED_LABEL.fullmatch(to_plain(name))]
    found = _only(LABEL, _called(LABEL, names))
    several = [*([found] if found else []), *numbered]
    if numbered and len(several) > 1:
        raise UsageError(
            f"the columns {_listed(several)} may hold several labels of an image; set {_set(LABEL, several[0])} to "
            f"read only this one, or write all of them into one column {LABEL} as daisy|rose"
        )
    return found


def _find_image(names: Sequence[str], values: Values) -> str | None:
    """Returns the column with the images.

    A column that is called a number (id) holds images only if no other column does: it may number the rows.
    """
    others = {name for role in (LABEL, SPLIT, GROUP) for name in names if to_plain(name) in sum(_CALLED[role], ())}
    holding = [name for name in _holding_images(names, values) if name not in others]
    called = _called(IMAGE, names)
    if len(called) > 1:
        called = [name for name in called if name in holding] or called
    name = _only(IMAGE, called)
    is_number = name is not None and to_plain(name) in _NUMBERS
    if name is None or (is_number and name not in holding):
        return _only(IMAGE, holding) or name
    if name in holding and not is_number:
        return name
    different = [other for other in holding if other != name and not _are_same(values(name), values(other))]
    return _only(IMAGE, [name, *different])


def _holding_images(names: Sequence[str], values: Values) -> list[str]:
    """Returns the columns with names of images, masks and thumbnails aside."""
    return [name for name in names if not _COMPANION.search(name) and _are_images(values(name))]


def _called(role: str, names: Sequence[str]) -> list[str]:
    """Returns the columns whose names are the best for a role."""
    if role in names:
        return [role]
    found = ([name for name in names if to_plain(name) in called] for called in _CALLED[role])
    return next(filter(None, found), [])


def _only(role: str, names: Sequence[str]) -> str | None:
    """Returns the only one of these columns, or None if there is none; raises UsageError if there are several."""
    if len(names) < 2:
        return names[0] if names else None
    remedy = f"rename the right one to {role}"
    if role in _SETTINGS:
        remedy = "set " + " or ".join(_set(role, name) for name in names)
    raise UsageError(f"the columns {_listed(names)} may each be the {role}; {remedy}")


def _are_images(values: Sequence[str]) -> bool:
    """Returns True if nearly all values are names of image files, and not always the same."""
    filled = [value for value in values if value.strip()]
    images = [value for value in filled if is_image_name(value)]
    return bool(images) and len(images) >= _SHARE * len(filled) and len(set(images)) >= min(2, len(filled))


def _are_same(values: Sequence[str], others: Sequence[str]) -> bool:
    """Returns True if two columns name the same images, with or without folders and endings."""
    return all(map(str.__eq__, map(_stem, values), map(_stem, others)))


def is_image_name(text: str) -> bool:
    """Returns True if a text is the name of an image file, or an address on a store."""
    return _STORED.fullmatch(text) is not None or ("://" not in text and IMAGE_ENDING.search(text) is not None)


def _stem(name: str) -> str:
    return IMAGE_ENDING.sub("", posixpath.basename(name.replace("\\", "/").strip()))


def to_plain(name: str) -> str:
    """Returns a name in small letters, without blanks, underscores and the like."""
    return "".join(filter(str.isalnum, name.casefold()))


def may_hold_labels(name: str) -> bool:
    """Returns True if a column is called like labels are in some field: diagnosis, species."""
    return to_plain(name) in _LABELS_OF_A_FIELD


def marks_split(name: str) -> bool:
    """Returns True for is_train, is_valid and the like."""
    return _BEGINS_WITH_IS.match(name) is not None and split_of(name) is not None


def missing_columns(found: Mapping[str, str], names: Iterable[str], options: SourceOptions) -> UsageError:
    """Returns the error for a table without an image or a label.

    Args:
        found: The columns by what they hold.
        names: The names of all columns.
        options: May name columns.
    """
    known, chosen = list(filter(None, names)), _chosen(options)
    missing = [role for role in (IMAGE, LABEL) if role not in found]
    for role in missing:
        if name := chosen.get(role):
            return UsageError(f"the table has no column {_SETTINGS[role]}={name}: {did_you_mean(name, known)}")
    rest = [name for name in known if name not in found.values()]
    some = ", ".join(map(shlex.quote, rest[:_MAX_NAMES])) + (", ..." if len(rest) > _MAX_NAMES else "")
    if len(missing) > 1:
        return UsageError(
            f"the columns {IMAGE} and {LABEL} are missing: the first line must name them, or set {IMAGE_COLUMN} and "
            f"{LABEL_COLUMN} to two of {some}"
        )
    (role,) = missing
    near = did_you_mean(role, rest) if difflib.get_close_matches(role, map(str.casefold, rest)) else ""
    remedy = f"set {_SETTINGS[role]} to one of {some}" if rest else f"add it, or set {_SETTINGS[role]}"
    return UsageError(f"the column {role} is missing: " + (f"{near} Otherwise, {remedy}" if near else remedy))


def _set(role: str, name: str) -> str:
    """Returns how to choose a column, as it can be typed."""
    return f"{_SETTINGS[role]}={shlex.quote(name)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _chosen(options: SourceOptions) -> dict[str, str]:
    """Returns the columns that settings name, by what they hold."""
    found = {IMAGE: options.image_column, LABEL: options.label_column}
    return {role: name for role, name in found.items() if name is not None}


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
