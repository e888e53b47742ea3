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
from collections.abc import Collection, Iterable

from petalflow.splits import SPLIT_NAMES, TEST, VALIDATION

_SPLITS = {**SPLIT_NAMES, "eval": VALIDATION, "evaluation": VALIDATION, "dev": VALIDATION, "holdout": TEST}
_PARTS = frozenset(("fold", "folds", "cv", "split", "splits", "part", "parts", "batch", "chunk", "shard", "subset"))
_IMAGES = frozenset(("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures"))
_CONTENTS = frozenset(
    {
        *_IMAGES,
        *("annotation", "annotations", "labels", "mask", "masks", "trimap", "trimaps", "groundtruth", "gt"),
        *("bbox", "bboxes", "xml", "xmls"),
        *("unlabeled", "unlabelled", "pred", "prediction", "predictions", "submission"),
    }
)
_FILLERS = frozenset({"set", "sets", "data", "dataset", "jpeg", "jpg", "png"})
_VAGUE = frozenset(("unknown", "all", "classes", "raw", "files"))
# Words for heaps of files that belong to several classes or to none. A mask, a photo or a label may be a class.
_HEAPS = frozenset(
    {
        *("images", "imgs", "masks", "labels", "annotations", "trimaps", "groundtruth", "bboxes", "segmentations"),
        *("unlabeled", "unlabelled", "unsorted", "thumbnails", "thumbs"),
    }
)
# What file managers make of the name of a copy, and people of that of an old version: cat - Copy, Copy of cat, cat_old.
_COPY_BEFORE = re.compile(r"(?i)\A(?:copy of|kopie von|copie de|copia de|copia di) ")
_COPY_BEHIND = re.compile(r"(?i)(?:[ _-]+(?:copy|kopie|copie|copia|old|backup|bak)(?:[ _-]?\(?\d+\)?)?| ?\(\d+\))\Z")
_NEW = re.compile(r"(?i)\A(?:new folder|untitled folder|neuer ordner|nouveau dossier|nueva carpeta)\b")
_VERSIONS = frozenset(
    {
        *("original", "originals", "augmented", "augmentation", "raw", "processed", "preprocessed", "resized"),
        *("cropped", "grayscale", "greyscale", "normalized", "compressed"),
    }
)
# Words of names that say what files are, but not what they show; as a whole.
_NO_CLASSES = {
    "dates": re.compile(r"(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])(?:\1[0-3]\d)?(?:\D.*)?\Z"),
    "patients": re.compile(r"(?i)(?:patient|subject|participant)s?[ _-]*\d+\Z"),
}
# Words, also those of camelCase, and numbers.
_WORD = re.compile(r"\d+|[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")


def split_of(name: str) -> str | None:
    """Returns the split that a folder's name has a word for, or None if there is none, or words for two.

    >>> split_of("training_set"), split_of("seg_test"), split_of("trainval"), split_of("train_val")
    ('train', 'test', None, None)
    """
    found = {_SPLITS[word] for word in _words(name) if word in _SPLITS}
    return found.pop() if len(found) == 1 else None


def is_contents(name: str) -> bool:
    """Returns True if a folder's name has a word for what it holds: images, annotations."""
    return not _CONTENTS.isdisjoint(_words(name))


def is_images(name: str) -> bool:
    """Returns True if a folder's name has a word for images: JPEGImages, photos."""
    return not _IMAGES.isdisjoint(_words(name))


def says_nothing(name: str, outer: str = "") -> bool:
    """Returns True if a folder's name has no word that could be a class, as long as other folders are classes.

    Args:
        name: The name.
        outer: The name of the folder around it, which may be repeated.

    >>> says_nothing("data"), says_nothing("test_images"), says_nothing("unknown"), says_nothing("test_tube")
    (True, True, True, False)
    >>> says_nothing("seg_train", "seg_train"), says_nothing("seg", "seg_train")
    (True, False)
    """
    rest, is_marked = _split_words(name)
    repeated = set(_split_words(outer)[0]) if is_marked or name.lower() == outer.lower() else set()
    return {*rest} <= _VAGUE | repeated


def is_heap(name: str) -> bool:
    """Returns True if a folder's name says that its files are not of one class: unlabeled, thumbnails, masks."""
    words = {*_words(name)}
    return bool(_NEW.match(name)) or (bool(words & _HEAPS) and words <= _HEAPS | _FILLERS)


def copied(name: str) -> str:
    """Returns the name of which a folder's name says that it is a copy; "" if it says no such thing.

    >>> copied("cat - Copy (2)"), copied("Copy of cat"), copied("cat_old"), copied("cat (1)"), copied("cat 2")
    ('cat', 'cat', 'cat', 'cat', '')
    """
    bare = _COPY_BEHIND.sub("", _COPY_BEFORE.sub("", name))
    while (shorter := _COPY_BEHIND.sub("", bare)) != bare:
        bare = shorter
    return bare.strip() if bare != name else ""


def instead_of_classes(names: Collection[str]) -> str:
    """Returns what all names say instead of classes: "dates", "patients" or "versions of images"; "" if they do not.

    >>> instead_of_classes(["2024-01-01", "2024-02-01"]), instead_of_classes(["original", "augmented"])
    ('dates', 'versions of images')
    """
    for what, pattern in _NO_CLASSES.items():
        if all(map(pattern.match, names)):
            return what
    words = [{*_words(name)} - _FILLERS - _IMAGES for name in names]
    return "versions of images" if all(word and word <= _VERSIONS for word in words) else ""


def names_heap(name: str) -> bool:
    """Returns True if a folder's name has a word for such a heap: labels_old."""
    return not _HEAPS.isdisjoint(_words(name))


def has_word_of(name: str, other: str) -> bool:
    """Returns True if two names have a word in common."""
    return not {*_words(name)}.isdisjoint(_words(other))


def alike(names: Iterable[str]) -> list[str]:
    """Returns the largest group of names that have such words and do not differ in the others; sorted.

    >>> alike(["seg_train", "seg_test", "seg_pred", "README"])
    ['seg_pred', 'seg_test', 'seg_train']
    >>> alike(["with_mask", "without_mask"])
    ['with_mask']
    """
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in sorted(names):
        rest, is_marked = _split_words(name)
        if is_marked:
            groups[tuple(rest)].append(name)
    return max(groups.values(), key=len, default=[])


def _words(name: str) -> list[str]:
    return [part for word in _WORD.findall(name) for part in _split_word(word.lower())]


def _split_word(word: str) -> list[str]:
    """Returns the words in a word: train and data in traindata."""
    for filler in _FILLERS:
        if word.endswith(filler) and word.removesuffix(filler) in _SPLITS:
            return [word.removesuffix(filler), filler]
    return [word]


def _split_words(name: str) -> tuple[list[str], bool]:
    """Returns the words of a name that say nothing about its kind, and whether there is another one that does."""
    words = _words(name)
    if len(words) > 1 and words[0].isdecimal() and words[1] in _SPLITS:  # 01_train
        del words[0]
    rest, is_marked, counted = [], False, False
    for word in words:
        is_mark = word in _SPLITS or word in _PARTS or word in _CONTENTS
        if is_mark or word in _FILLERS:
            is_marked, counted = is_marked or is_mark, True
        elif not (counted and (word.isdecimal() or len(word) == 1)):  # the number of a part: test1, images_part_B
            rest.append(word)
            counted = False
    return rest, is_marked
