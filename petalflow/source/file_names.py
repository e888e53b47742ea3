"""Files whose names hold the class.

```
source/
  cat.0.jpg
  dog.0.jpg      by the pattern {label}.*
```
"""

import itertools
import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.listing import Item, Listing
from petalflow.source.masks import find_masks
from petalflow.source.options import LABEL_PATTERN, LabelPattern
from petalflow.source.outline import may_be_image
from petalflow.source.tree import Folder, Tree, is_hidden, list_labelled, read_as_listed

log = logging.getLogger(__name__)

_MARKS = re.compile(r"[_\-. ()]+")
# What cameras and programs write into names.
_CAMERA_WORDS = frozenset(
    {
        *("img", "image", "photo", "pic", "picture", "dsc", "dscn", "dscf", "dji", "gopr", "pxl", "mvimg", "scan"),
        *("screenshot", "frame", "crop", "cropped", "copy", "edited", "aug", "augmented", "flip", "flipped", "rotated"),
    }
)


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
    _warn_of_others(tree.address, pattern, [name for name in shown if may_be_image(name) and not pattern.match(name)])
    _check_labels(tree.address, pattern, shown, labels)
    if masks := find_masks(tree, [*labels]):
        raise UsageError(
            f"source {tree.address}: {masks}; move the masks out of the source, or correct {LABEL_PATTERN} so that it "
            "does not match them"
        )
    return list_labelled(tree, files, "file names", matches.get)


def _warn_of_others(address: str, pattern: LabelPattern, names: list[str]) -> None:
    if names:
        log.warning(
            "source %s: ignored %d files whose names do not match %s=%s, like %s",
            *(address, len(names), LABEL_PATTERN, pattern.text, names[0]),
        )


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
        if pattern.may_cut and (pair := _find_cut(pattern, labels)):
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


def _find_cut(pattern: LabelPattern, labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Returns two files of one label whose names go on behind it as those of two classes do: sea_1, sea_lion_1.

    They go on with a word that no other label has, and then more: sea_lion_a3f, sea_horse_1. What follows every label
    is a view or a date.
    """
    words = _words_behind(pattern, labels)
    uses = defaultdict[str, set[str]](set)
    for name, word in words.items():
        uses[word].add(labels[name])
    firsts: dict[str, dict[str, str]] = defaultdict(dict)  # label -> word of its own, or "" -> first file
    for name, word in sorted(words.items()):
        firsts[labels[name]].setdefault(word if len(uses[word]) == 1 else "", name)
    for label in sorted(firsts):
        if len(firsts[label]) > 1:
            one, other = [firsts[label][word] for word in sorted(firsts[label])[:2]]
            return one, other
    return None


def _words_behind(pattern: LabelPattern, names: Iterable[str]) -> dict[str, str]:
    """Returns the word with which each name goes on behind its label, if more follows; else ""."""
    behind = {name: os.path.splitext(pattern.behind_label(name))[0] for name in names}
    first, last = min(behind.values(), default=""), max(behind.values(), default="")
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    shared = "".join(one for one, _ in pairs)  # such as _photo_, which is in the pattern
    skipped = max((shared.rfind(mark) for mark in "_-. "), default=0) + 1
    parts = {name: _MARKS.split(text[max(skipped, 1) :]) for name, text in behind.items()}
    return {name: part[0].lower() if len(part) > 1 and _is_word(part[0]) else "" for name, part in parts.items()}


def _is_word(text: str) -> bool:
    return len(text) > 1 and text.isalpha() and text.lower() not in _CAMERA_WORDS
