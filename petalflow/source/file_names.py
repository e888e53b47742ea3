"""Files whose names hold the class.

```
source/
  cat.0.jpg
  dog.0.jpg      by the pattern {label}.*
```
"""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.listing import Item, Listing
from petalflow.source.masks import find_masks
from petalflow.source.options import LABEL_PATTERN, LabelPattern
from petalflow.source.outline import may_be_image
from petalflow.source.tree import Folder, Tree, is_hidden, list_labelled, read_as_listed

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"\d+")
_SURE = 0.8


@dataclass(frozen=True)
class FileNames:
    """A folder of files whose names hold the class.

    Attributes:
        address: The folder.
        pattern: A `LabelPattern`, as text.
    """

    address: str
    pattern: str

    def check(self) -> None:
        """Raises UsageError if there are no files; their names are compared with the pattern when they are listed."""
        if not storage.has_files(self.address, is_hidden):
            raise UsageError(f"source {self.address} contains no files; put the images there, or correct the address")

    def list(self) -> Listing:
        """Returns the listing of the folder; every file whose name matches the pattern is an item."""
        return list_by_names(Folder(self.address), self.pattern)

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the folder's files, which fails if one has changed since it was listed."""
        return read_as_listed(Folder(self.address))


def list_by_names(tree: Tree, label_pattern: str) -> Listing:
    """Returns the listing of a tree's files by a pattern.

    Files that cannot be images, and folders whose file names hold no class, are ignored.

    Raises:
        UsageError: If no name matches the pattern, all are of one class, or it may put several classes into one.
    """
    pattern, files = LabelPattern(label_pattern), tree.files()
    shown = [file.name for file in files if not is_hidden(file.name)]
    matches = {name: found for name in shown if may_be_image(name) and (found := pattern.match(name))}
    for name in _unlabelled({name: found.label for name, found in matches.items()}):
        del matches[name]
    labels = {name: found.label for name, found in matches.items()}
    _check_labels(tree.address, pattern, shown, labels)
    if masks := find_masks(tree, [*labels]):
        raise UsageError(
            f"source {tree.address}: {masks}; move the masks out of the source, or correct {LABEL_PATTERN} so that it "
            "does not match them"
        )
    return list_labelled(tree, files, "file names", matches.get)


def _unlabelled(labels: Mapping[str, str]) -> list[str]:
    """Returns the files of folders in which names hold a number of their own instead of a class, as in test1/17.jpg."""
    counts = Counter(labels.values())
    folders: dict[str, list[str]] = defaultdict(list)
    for name in labels:
        folders[name.rpartition("/")[0]].append(name)
    if sum(not label.isdecimal() for label in counts) < 2:
        return []
    found = []
    for folder, names in folders.items():
        if all(labels[name].isdecimal() and counts[labels[name]] == 1 for name in names):
            log.warning(
                "ignored %d files in %s, whose names contain no class, like %s",
                len(names),
                folder or "the source",
                names[0],
            )
            found.extend(names)
    return found


def _check_labels(address: str, pattern: LabelPattern, shown: list[str], labels: Mapping[str, str]) -> None:
    classes = sorted({*labels.values()})
    if len(classes) > 1:
        if pattern.may_cut and (pair := _find_cut(labels)):
            raise UsageError(
                f"source {address}: {LABEL_PATTERN}={pattern.text} puts {pair[0]} and {pair[1]} into one class, "
                f"{labels[pair[0]]!r}; set it to {pattern.with_label('label+')} or use {{number}} if they are of two "
                f"classes, or to {pattern.with_label('label-')} if they are of one"
            )
        return
    if not shown:
        found = "there are no files"
    else:
        found = f"only {classes[0]}" if classes else f"no file name matches it; one is {shown[0]!r}"
    raise UsageError(
        f"source {address} has fewer than two classes by {LABEL_PATTERN}={pattern.text} ({found}); correct the pattern"
    )


def _find_cut(labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Returns two files of one label whose names differ behind it as those of two classes do: sea_1, sea_lion_1.

    What is behind a label, apart from numbers, is then found often, and with no other label.
    """
    kinds: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, label in labels.items():
        kinds[label][_kind_behind(name, label)].append(name)
    uses = Counter(kind for of_label in kinds.values() for kind in of_label)
    for of_label in kinds.values():
        often = {kind: names for kind, names in of_label.items() if len(names) > 1}
        own = [kind for kind in often if any(map(str.isalpha, kind))]
        is_sure = sum(map(len, often.values())) >= _SURE * sum(map(len, of_label.values()))
        if own and len(often) > 1 and is_sure and all(uses[kind] == 1 for kind in own):
            one, other = sorted(often, key=lambda kind: kind not in own)[:2]
            return min(often[one][0], often[other][0]), max(often[one][0], often[other][0])
    return None


def _kind_behind(name: str, label: str) -> str:
    """Returns what is behind a label in a name, without the ending and with # for each number: lion_#."""
    stem = name.rpartition("/")[2]
    stem = stem.rpartition(".")[0] or stem
    return _NUMBER.sub("#", stem.partition(label)[2])
