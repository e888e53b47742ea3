"""Tables of labels at the top of a folder or an archive, beside the images that they name.

They are read if there are no class folders. Class folders are read if the tables agree with them.

```
source/                     source/
  labels.csv                  labels.csv        agrees with the folders, or is refused
  1.jpg                       daisy/1.jpg
  2.jpg                       rose/2.jpg
```
"""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from petalflow.errors import UsageError
from petalflow.source import manifests
from petalflow.source.folders import CLASS_FOLDERS, read_class_folders
from petalflow.source.listing import Listing
from petalflow.source.manifests.columns import IMAGE_COLUMN, LABEL_COLUMN
from petalflow.source.manifests.rows import begins_like_rows
from petalflow.source.options import AUTO, CLASSES, LABEL_PATTERN, LAYOUT, SPLITS, PathLabel, SourceOptions
from petalflow.source.outline import may_be_image
from petalflow.source.tree import Tree, is_hidden, list_labelled
from petalflow.source.unclear import some
from petalflow.storage import File

log = logging.getLogger(__name__)

# What somebody else is to fill in, or a model has: it is not read as labels unless it is given as the source.
_ANSWERS = re.compile(r"(?i)submission|submit|predict|(?:^|[_\W])preds?(?:[_\W]|$)")
# Files that may hold labels in a form that is not read.
_LABELS = re.compile(
    r"(?i)(?:(?:image|train|training)?[_-]?(?:labels?|annotations?|classes|metadata|data|list)|train|training|val|test)"
    r"\.(?:txt|json|xlsx?|ods)"
)
_HEAD_BYTES = 4096
# Where an error about folders goes on with what to do about them, if no table is there to be mended.
_REMEDY = re.compile(f"; (?:put the images|set {re.escape(LABEL_PATTERN)} )")
# A table is one of a source's images if this share of its rows names some of them.
_SHARE = 0.5


@dataclass(frozen=True)
class Table:
    """A table of labels.

    Attributes:
        name: Its name below the source.
        labels: File of the source -> its classes by the table.
        says_more: True if it states splits or groups.
        why_not: Why it is not a table of labels of the source's images; "" if it is.
    """

    name: str
    labels: Mapping[str, tuple[str, ...]]
    says_more: bool = False
    why_not: str = ""


def list_images(
    tree: Tree, options: SourceOptions, list_table: Callable[[str], Listing], how_to_give: Callable[[str], str]
) -> Listing:
    """Returns the listing of class folders or of the images that a table names.

    Args:
        tree: The folder or archive.
        options: How to read it. A layout says that its folders are classes, whatever the tables say.
        list_table: Returns the listing of a table at the top, by its name.
        how_to_give: Returns what to do to have a table read, by its name, as "give a.csv as the source".

    Raises:
        UsageError: If neither folders nor a table give two classes, or they can be read in two ways.
    """
    files = tree.files()
    tables = read_tables(tree, [file.name for file in files], options) if options.layout == AUTO else []
    chosen = find_table(tree, files, tables, options, how_to_give)
    if isinstance(chosen, str):
        return list_table(chosen)
    read_label = chosen
    _warn_of_columns(tree.address, options)
    for table in tables:
        _compare(tree.address, table, read_label, how_to_give(table.name))
    return list_labelled(tree, files, CLASS_FOLDERS, read_label)


def find_table(
    tree: Tree,
    files: Sequence[File],
    tables: Sequence[Table],
    options: SourceOptions,
    how_to_give: Callable[[str], str],
) -> str | Callable[[str], PathLabel | None]:
    """Returns the name of the table that labels the images, or, of class folders, the function to their classes.

    Args:
        tree: The folder or archive.
        files: All its files.
        tables: The tables at its top, which are no images of a class.
        options: How to read it.
        how_to_give: Returns what to do to have a table read, by its name.

    Raises:
        UsageError: If neither gives two classes, or it is not clear which.
    """
    named = {table.name for table in tables}
    try:
        return read_class_folders(tree, [file for file in files if file.name not in named], options.layout)
    except UsageError as error:
        if not tables and (other := _find_other_table(tree, files, how_to_give)):
            error = UsageError(f"{_REMEDY.split(str(error))[0]}; {other}")
        return choose_table(tree.address, tables, error, how_to_give)


def _find_other_table(tree: Tree, files: Iterable[File], how_to_give: Callable[[str], str]) -> str:
    """Returns what to do about a file at the top that may hold the labels in another form; "" if there is none."""
    for name in (file.name for file in files):
        if not _LABELS.fullmatch(name):
            continue
        if name.lower().endswith(".txt") and begins_like_rows(tree.read(name)[:_HEAD_BYTES]):
            return f"{how_to_give(name)}, since it looks like a table of labels"
        return f"if {name} holds the labels, write them to labels.csv beside it, with the columns image,label"
    return ""


def _warn_of_columns(address: str, options: SourceOptions) -> None:
    """Warns of columns that are set though no table is read."""
    for setting, name in ((IMAGE_COLUMN, options.image_column), (LABEL_COLUMN, options.label_column)):
        if name is not None:
            log.warning("source %s: %s=%s has no effect, since the classes are its folders", address, setting, name)


def table_names(names: Iterable[str]) -> list[str]:
    """Returns the files directly in a folder that are tables by their names."""
    return [name for name in names if "/" not in name and manifests.is_table(name) and not is_hidden(name)]


def read_tables(tree: Tree, names: Sequence[str], options: SourceOptions) -> list[Table]:
    """Returns the tables at the top of a tree.

    Args:
        tree: The tree.
        names: The names of all its files.
        options: How to read it.
    """
    found = table_names(names)
    files = _Files(names) if found else None
    return [_read(tree, name, files, options) for name in found if files]


def _read(tree: Tree, name: str, files: "_Files", options: SourceOptions) -> Table:
    if _ANSWERS.search(name):
        return Table(name, {}, why_not="by its name, its labels are predictions")
    try:
        rows = list(manifests.read_rows(tree.read(name), name, lambda named: named, options=options))
    except UsageError as error:
        return Table(name, {}, why_not=str(error).removeprefix(name).lstrip(",: "))
    labelled = [row for row in rows if row.labels]
    labels = {file: row.labels for row in labelled if (file := files.find(row.address))}
    why_not, enough = "", _SHARE * len({row.address for row in labelled})
    if len(labels) < enough:
        found, hint = manifests.find_files(labelled, files.names, name)
        labels = {found[row.address]: row.labels for row in labelled if row.address in found}
        if len(labels) < enough:
            why_not = f"its rows name no files of the source, like {labelled[0].address}{hint and f'; {hint}'}"
    if not labelled:
        why_not = "its rows have no labels"
    return Table(name, labels, any(row.split or row.group for row in rows), why_not)


class _Files:
    """Files by the names that a table may give them: the whole path, or what is unique at its end.

    Attributes:
        names: The names of all that are not hidden.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = [name for name in names if not is_hidden(name)]
        self._files = {name for name in names if may_be_image(name) and not is_hidden(name)}
        self._by_end: dict[str, str] = {}
        for name in sorted(self._files):
            for end in {_plain(name), _stem(_plain(name))}:
                self._by_end[end] = "" if end in self._by_end else name

    def find(self, named: str) -> str:
        """Returns the file of a name in a table; "" if there is none, or more than one."""
        if named in self._files:
            return named
        plain = _plain(named)
        return self._by_end.get(plain) or self._by_end.get(_stem(plain)) or ""


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2].strip().casefold())


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def choose_table(address: str, tables: Sequence[Table], error: UsageError, how_to_give: Callable[[str], str]) -> str:
    """Returns the name of the only table that labels the images of a source.

    Args:
        address: What to call the source in messages.
        tables: Its tables.
        error: Why it cannot be read without a table.
        how_to_give: Returns what to do to have a table read, by its name.

    Raises:
        UsageError: If there is none, or more than one.
    """
    good = [table.name for table in tables if not table.why_not]
    if len(good) > 1:
        raise UsageError(
            f"source {address}: more than one table labels its images ({some(good)}); {how_to_give(good[0])}, or "
            "another one, or join them into one"
        )
    if good:
        log.info("source %s: the labels are read from its table %s", address, good[0])
        return good[0]
    if tables:
        table = min(tables, key=lambda table: bool(_ANSWERS.search(table.name)))
        reason = str(error) if _ANSWERS.search(table.name) else _REMEDY.split(str(error))[0]
        raise UsageError(f"{reason}; its table {table.name} is not used: {table.why_not}")
    raise error


def _compare(address: str, table: Table, read_label: Callable[[str], PathLabel | None], give: str) -> None:
    """Compares a table with class folders, and logs what becomes of it.

    Raises:
        UsageError: If the table labels the same images otherwise.
    """
    pairs = [(file, found, labels) for file, labels in table.labels.items() if (found := read_label(file))]
    if table.why_not or not pairs:
        why = table.why_not or "it labels other files than those in class folders"
        log.warning("source %s: its table %s is not used, as its folders are the classes: %s", address, table.name, why)
        return
    if not _agree({(found.label, labels) for _, found, labels in pairs}):
        layout = SPLITS if any(found.split for _, found, _ in pairs) else CLASSES
        usual = _most_common((found.label, labels) for _, found, labels in pairs)
        others = [one for one in pairs if one[2] not in ((one[1].label,), usual[one[1].label])]
        others = others or [one for one in pairs if one[2] != (one[1].label,)]
        file, found, labels = others[0]
        raise UsageError(
            f"source {address}: its table {table.name} gives {len(others):,} of {len(pairs):,} images another class "
            f"than their folder, like {file} ({'|'.join(labels)}, not {found.label}); set {LAYOUT}={layout} to read "
            f"the folders, or {give}"
        )
    if table.says_more:
        log.warning(
            "source %s: the classes are its folders, and its table %s agrees; %s to use its splits and groups, too",
            *(address, table.name, give),
        )
    else:
        log.info("source %s: the classes are its folders, and its table %s agrees", address, table.name)


def _agree(pairs: Collection[tuple[str, tuple[str, ...]]]) -> bool:
    """Returns True if folders and labels, as pairs, are the same classes, perhaps under other names: 0 for cat."""
    folders, others = {folder for folder, _ in pairs}, {labels for _, labels in pairs}
    is_renamed = any(labels != (folder,) and not folders.isdisjoint(labels) for folder, labels in pairs)
    return len(folders) == len(pairs) == len(others) and not is_renamed


def _most_common(pairs: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    counts = Counter(pairs)
    return {folder: labels for (folder, labels), _ in reversed(counts.most_common())}
