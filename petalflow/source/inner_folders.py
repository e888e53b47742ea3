"""Folders of images in folders of images of the same class, that may hold copies or belong to another class.

```
cat/1.jpg   cat/thumbs/1.jpg    smaller copies
cat/1.jpg   cat/dog/2.jpg       named like another class
```
"""

import logging
from collections import defaultdict
from collections.abc import Mapping

from petalflow.source.folder_names import is_heap
from petalflow.source.options import PathLabel
from petalflow.source.unclear import some

log = logging.getLogger(__name__)


def check_inner_folders(labels: Mapping[str, PathLabel]) -> str:
    """Warns of folders in class folders that may not be of the class; returns what is surely wrong, or "".

    Args:
        labels: Image -> its class.
    """
    stems, of = defaultdict[str, set[str]](set), dict[str, str]()
    for name, found in labels.items():
        folder, _, file = name.rpartition("/")
        stems[folder].add(file.rpartition(".")[0])
        of[folder] = found.label
    same = [folder for folder, inside in stems.items() if _repeats(inside, stems.get(_around(folder), set()))]
    for folder in same:
        if is_heap(folder.rpartition("/")[2]):
            return f"the files in {folder} are named like those in {_around(folder)}, so they may be copies or masks"
    if same:
        log.warning(
            "files in %s are named like those in the folder around them; move them out of the source if they are "
            "smaller or edited copies, since copies may come into different splits",
            some(same),
        )
    classes = {*of.values()}
    other = [folder for folder, label in of.items() if folder.rpartition("/")[2] in classes - {label}]
    for folder in other:
        log.warning(
            "the folder %s is named like another class, but its images are read as %s; move it if they are not",
            *(folder, of[folder]),
        )
    return ""


def _around(folder: str) -> str:
    return folder.rpartition("/")[0]


def _repeats(inside: set[str], around: set[str]) -> bool:
    return 2 * len(inside & around) >= len(inside)
