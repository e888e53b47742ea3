"""What the name of a folder says about it: that it is a split or a part of a data set rather than a class.

```
training_set, seg_train, train2017     a split
fold_0, images_part_2                  a part
images, annotations, single_prediction a kind of contents
```

A class may have such a word in its name, too: with_mask, test tube, freight train. So a single name decides nothing.
Without these words, the names of splits and parts are the same, and the names of classes differ.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from petalflow.splits import SPLIT_NAMES, TEST, VALIDATION

_SPLITS = {**SPLIT_NAMES, "eval": VALIDATION, "evaluation": VALIDATION, "dev": VALIDATION, "holdout": TEST}
_PARTS = frozenset(("fold", "folds", "cv", "split", "splits", "part", "parts", "batch", "chunk", "shard", "subset"))
_CONTENTS = frozenset(
    {
        *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures"),
        *("annotation", "annotations", "labels", "mask", "masks", "trimap", "trimaps", "groundtruth", "gt"),
        *("bbox", "bboxes", "xml", "xmls"),
        *("unlabeled", "unlabelled", "pred", "prediction", "predictions", "submission"),
    }
)
_FILLERS = frozenset({"set", "sets", "data", "dataset", "jpeg", "jpg", "png"})
# Words, also those of camelCase, and numbers.
_WORD = re.compile(r"\d+|[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")


def split_of(name: str) -> str | None:
    """Returns the split that a folder's name has a word for, or None if there is none, or words for two.

    >>> split_of("training_set"), split_of("seg_test"), split_of("trainval"), split_of("train_val")
    ('train', 'test', None, None)
    """
    found = {_SPLITS[word] for word in _words(name) if word in _SPLITS}
    return found.pop() if len(found) == 1 else None


def is_part(name: str) -> bool:
    """Returns True if a folder's name has a word for a part of a data set: fold_0."""
    return not _PARTS.isdisjoint(_words(name))


def is_contents(name: str) -> bool:
    """Returns True if a folder's name has a word for what it holds: images, annotations."""
    return not _CONTENTS.isdisjoint(_words(name))


def alike(names: Iterable[str]) -> list[str]:
    """Returns the largest group of names that have such words and do not differ in the others; sorted.

    >>> alike(["seg_train", "seg_test", "seg_pred", "README"])
    ['seg_pred', 'seg_test', 'seg_train']
    >>> alike(["with_mask", "without_mask"])
    ['with_mask']
    """
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in sorted(names):
        if (rest := _rest(name)) is not None:
            groups[rest].append(name)
    return max(groups.values(), key=len, default=[])


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _rest(name: str) -> tuple[str, ...] | None:
    """Returns the words of a name that say nothing about its kind; None if no word does."""
    rest, marked, counted = [], False, False
    for word in _words(name):
        is_mark = word in _SPLITS or word in _PARTS or word in _CONTENTS
        if is_mark or word in _FILLERS:
            marked, counted = marked or is_mark, True
        elif not (counted and (word.isdecimal() or len(word) == 1)):  # the number of a part: test1, images_part_B
            rest.append(word)
            counted = False
    return tuple(rest) if marked else None
